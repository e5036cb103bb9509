"""Freeing a runtime's memory, in the node's worker: one model, or all of the node.

Models leave because somebody asked; nothing here ends a process.
"""

from __future__ import annotations

import time

from django.conf import settings

from models_app.choices import LogLevel
from models_app.services.steps import Steps
from models_app.services.work import Work
from runtime_app.choices import CAN_UNLOAD
from runtime_app.models import Runtime
from runtime_app.runtimes.registry import adapter_for
from runtime_app.services.memory_seen import note_memory
from runtime_app.services.room_makers import RELIEF_SECONDS, is_part, why_it_stays
from runtime_app.services.runtimes import errors_named, place, runtime_of
from venom_site.lib.errors import UpstreamFailed, WireError

SAY_WHY_AFTER_SECONDS = 1.0


class UnloadFailed(UpstreamFailed):
    code = "unload_failed"


def perform_unload(work: Work) -> None:
    """One model, or with an empty name all that this node's runtimes hold."""
    steps = Steps(work)
    steps.enter("unloading", progress=10)
    if work.operation.model_name:
        _unload_one(work, runtime_of(work), work.operation.model_name)
    else:
        _unload_all(work)
    steps.leave()


def _unload_one(work: Work, runtime: Runtime, model: str) -> None:
    if why := why_it_stays(work, runtime):
        _say(work, why)
        return
    seconds = RELIEF_SECONDS if is_part(work) else _longest()
    with errors_named(model, runtime, UnloadFailed):
        unload_model(work, runtime, model, seconds=seconds)
    note_memory(runtime)


def unload_model(work: Work, runtime: Runtime, model: str, *, seconds: float) -> None:
    """Raises `WireError`, also when requests hold it for so many seconds; says so when
    there was nothing to do or it must wait."""
    adapter = adapter_for(runtime)
    runtime.loaded_models = adapter.list_loaded()
    held = runtime.in_memory(model)
    if held is None:
        _say(work, f"{model} is not in the memory of {place(runtime)}: nothing to do.")
        return
    adapter.unload(held["name"], check=_Patience(work, model, seconds))
    _say(work, f"{model} has left the memory of {place(runtime)}.")


def _longest() -> float:
    """No request may run on for longer."""
    return settings.ENV.VENOM_TOTAL_SECONDS


def _say(work: Work, sentence: str, level: str = LogLevel.INFO) -> None:
    work.report(message=sentence)
    work.log(sentence, level)


class _Patience:
    """`check` that says once why it takes so long, and gives up at the limit."""

    def __init__(self, work: Work, model: str, seconds: float) -> None:
        self._work, self._model, self._seconds = work, model, seconds
        self._began = time.monotonic()
        self._said = False

    def __call__(self) -> None:
        self._work.check()
        waited = time.monotonic() - self._began
        if not self._said and waited > SAY_WHY_AFTER_SECONDS:
            self._said = True
            _say(
                self._work,
                f"A request still runs on {self._model}; its memory is freed when "
                "that ends.",
            )
        if waited > self._seconds:
            raise WireError(f"It is still in memory after {waited:.0f} s.")


def _unload_all(work: Work) -> None:
    """One server that fails keeps nobody from asking the next one."""
    rows = Runtime.objects.of_profile().in_order()
    failures = []
    for runtime in rows.filter(node_id=work.operation.node_id):
        if runtime.kind not in CAN_UNLOAD:
            work.log(f"{place(runtime)} cannot unload: skipped.")
            continue
        failures += _empty(work, runtime)
    if failures:
        raise UnloadFailed(" ".join(failures))


def _empty(work: Work, runtime: Runtime) -> list[str]:
    """Unload all of one server; the sentences about what failed."""
    failures = []
    try:
        held = [entry["name"] for entry in adapter_for(runtime).list_loaded()]
    except WireError as error:
        work.log(f"{place(runtime)} was skipped: {error}", LogLevel.WARNING)
        return [] if error.reason_code == "OFFLINE" else [f"{place(runtime)}: {error}"]
    if not held:
        work.log(f"{place(runtime)} holds no model in memory.")
    for model in held:
        try:
            unload_model(work, runtime, model, seconds=_longest())
        except WireError as error:
            work.log(f"{model} on {place(runtime)}: {error}", LogLevel.WARNING)
            failures.append(f"{model} on {place(runtime)}: {error}")
    note_memory(runtime)
    return failures
