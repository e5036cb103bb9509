"""Which steps an activation goes through, from what is known before it begins."""

from __future__ import annotations

from models_app.choices import STEPS, OperationType
from runtime_app.choices import CAN_UNLOAD
from runtime_app.models import Activation, Runtime
from runtime_app.services.activation_way import Way
from runtime_app.services.former_activation import is_to_leave
from runtime_app.services.relief import Room
from runtime_app.services.when import WHEN_IDLE

_OF_A_START = ("configuring", "starting")


def step_names(
    runtime: Runtime, way: Way, former: Activation | None, room: Room, *, when: str
) -> list[str]:
    """Which of the steps apply; the others are left out of plan and list."""
    leaver = former if former and is_to_leave(former, runtime, way) else None
    is_first = leaver is not None and not room.is_beside and way.starts
    used = {"checking", "confirming", "committing", "releasing"}
    if when == WHEN_IDLE or way.restarts or is_first:
        used.add("draining")
    if way.starts:
        used |= set(_OF_A_START)
    if way.restarts or is_first or room.relief:
        used.add("stopping")
    if not way.starts or runtime.kind in CAN_UNLOAD:
        used.add("loading")
    return [step for step in STEPS[OperationType.ACTIVATE] if step in used]
