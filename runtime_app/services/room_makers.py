"""Operations that are part of another one: each lets an idle model leave memory.

Written by `relieving.py` within the turn of an activation or a load, so they hold no
lock of their own. Whoever carries one out asks here first: late, by a retry or after a
lost worker, it must drive nothing out for nobody.
"""

from __future__ import annotations

from models_app.services.work import Work
from runtime_app.models import Runtime
from runtime_app.services.relief import is_idle

RELIEF_SECONDS = 30.0  # for a request that has just begun; then the model stays


def is_part(work: Work) -> bool:
    return bool(work.operation.makes_room_for)


def why_it_stays(work: Work, runtime: Runtime) -> str:
    """The sentence that ends such a part without a change; empty where it goes on, and
    for every other operation."""
    operation = work.operation
    if not is_part(work):
        return ""
    name, wanted = operation.model_name, operation.makes_room_for
    if operation.parent is None or operation.parent.is_finished:
        return f"{name} stays: nobody needs its room for {wanted} any more."
    if not is_idle(runtime, name):
        return f"{name} stays: it is used again or pinned."
    return ""
