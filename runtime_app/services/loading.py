"""Bringing a model into a runtime's memory, in the node's worker.

`perform_load` carries the operation out; the activation loads by the same function.
"""

from __future__ import annotations

from django.conf import settings

from models_app.choices import LogLevel
from models_app.services.steps import Steps
from models_app.services.work import Work
from runtime_app.models import Runtime
from runtime_app.runtimes.base import Check
from runtime_app.runtimes.registry import adapter_for
from runtime_app.services.memory import is_pinned
from runtime_app.services.memory_seen import note_memory
from runtime_app.services.relief import ASK, refuse_without_room, room_to_load
from runtime_app.services.relieving import give_room
from runtime_app.services.runtimes import (
    RuntimeOffline,
    errors_named,
    list_now,
    place,
    refuse_while_removed,
    runtime_of,
)
from venom_site.lib.errors import ModelNotInstalled, UpstreamFailed, WireError

# What Ollama 0.16 to 0.33 says when memory is too small (facts: load failures).
_TOO_SMALL = (
    "requires more system memory",
    "out of memory",
    "unable to load full model",
    "insufficient memory",
)


class LoadFailed(UpstreamFailed):
    code = "load_failed"


def perform_load(work: Work) -> None:
    """Raises the error that ends the operation."""
    steps = Steps(work)
    steps.enter("checking", progress=10)
    runtime, model = runtime_of(work), work.operation.model_name
    refuse_while_removed(runtime, model)
    with errors_named(model, runtime, RuntimeOffline):
        found = list_now(runtime).serves(model)
    if found is None:
        raise ModelNotInstalled(f"{place(runtime)} no longer lists the model {model}.")
    _make_room(work, steps, runtime, found["name"])
    steps.enter("loading", progress=30)
    load_into_memory(runtime, found["name"], check=work.check)
    steps.leave()
    note_memory(runtime)


def _make_room(work: Work, steps: Steps, runtime: Runtime, model: str) -> None:
    """As its policy says; refuses before anything has left."""
    note_memory(runtime)
    runtime.refresh_from_db(fields=["loaded_models"])
    room = room_to_load(runtime, model)
    relief = str(work.params.get("relief", ASK))
    refuse_without_room(runtime, model, room, relief=relief)
    if room.warning:
        work.log(room.warning, LogLevel.WARNING)
    if room.relief:
        steps.enter("stopping", progress=20)
        give_room(work, room.relief, to=model)


def load_into_memory(runtime: Runtime, model: str, *, check: Check) -> None:
    """Load it, for ever when it is pinned; a failure quotes the server's words."""
    try:
        adapter_for(runtime).load(
            model,
            seconds=settings.ENV.VENOM_FIRST_BYTE_SECONDS_LOCAL,
            check=check,
            forever=is_pinned(runtime, model),
        )
    except WireError as error:
        raise _load_error(runtime, model, str(error)) from error


def _load_error(runtime: Runtime, model: str, words: str) -> LoadFailed:
    is_too_small = any(sign in words.lower() for sign in _TOO_SMALL)
    advice = " Unload another model or choose a smaller one." if is_too_small else ""
    return LoadFailed(f"{model} on {place(runtime)}: {words}{advice}")
