"""The way back to the last good activation, after a failure or a wish to cancel.

What an activation is about to change stands in its checkpoint before it changes
(`undo`: for each server whether it ran and with which launch), so any worker can bring
it back. Every step may run twice; a wish to cancel does not end it.
"""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings

from models_app.choices import LogLevel
from models_app.services.work import Work
from runtime_app.choices import CAN_UNLOAD
from runtime_app.governance.policy import bump_policy
from runtime_app.models import Activation, Runtime
from runtime_app.runtimes.control import Launch
from runtime_app.runtimes.controls import ALIVE, control_for
from runtime_app.runtimes.launches import kept, was_launched
from runtime_app.runtimes.registry import adapter_for
from runtime_app.services import memory
from runtime_app.services.drain import end_drains
from runtime_app.services.former_activation import is_lost
from runtime_app.services.loading import load_into_memory
from runtime_app.services.memory_seen import note_memory
from runtime_app.services.runtimes import errors_named, place
from runtime_app.services.server_work import start_server, stop_server
from venom_site.lib.access import SYSTEM
from venom_site.lib.errors import UpstreamFailed, VenomError

logger = logging.getLogger(__name__)


# What a checkpoint says when nothing is left to undo.
NOTHING: dict[str, Any] = {"undo": {}, "coming": "", "failed": {}, "cancelled": False}


class RollBackFailed(UpstreamFailed):
    """The former model could not be brought back either."""

    code = "roll_back_failed"


class FailedBefore(UpstreamFailed):
    """What a former claim had failed with before its worker was lost."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]


def remember(work: Work, runtime: Runtime) -> None:
    """Keep how the server is, before anything of it is changed; only the first time."""
    undo = dict(work.operation.checkpoint.get("undo") or {})
    if str(runtime.pk) in undo:
        return
    launch = was_launched(runtime)
    ran = control_for(runtime).look().state in ALIVE
    undo[str(runtime.pk)] = {"ran": ran, "launch": kept(launch) if launch else {}}
    work.checkpoint(undo=undo)


def announce_coming(work: Work, served: str) -> None:
    """Gateways hold what asks for it from now on, also where no server lists it."""
    if work.operation.checkpoint.get("coming") != served:
        work.checkpoint(coming=served)
        bump_policy()


def forget(work: Work) -> None:
    """Nothing is left to undo, by success or because it has been undone."""
    kept = work.operation.checkpoint
    was_coming = bool(kept.get("coming"))
    if NOTHING.keys() & kept.keys():
        work.checkpoint(**NOTHING)
    if not end_drains(work.operation.pk) and was_coming:
        bump_policy()


def roll_back(work: Work, former: Activation | None) -> str:
    """Bring back what was there; the sentence about what could not be, or ""."""
    with work.undoing():
        lost = _bring_back(work, former)
        forget(work)  # not before: a worker that leaves now is followed by another
    if former is not None and not lost:
        name, where = former.served_name, place(former.runtime)
        work.log(f"Back to {name} on {where}.", LogLevel.WARNING)
    return lost


def _bring_back(work: Work, former: Activation | None) -> str:
    try:
        touched = _bring_servers_back(work)
        _bring_model_back(work, former, was_touched=touched)
    except VenomError as error:
        return _say_lost(work, former, error)
    return ""


def ask_back(work: Work, former: Activation | None) -> None:
    """After a cancel where no server was touched, which must not take long: an
    operation of its own loads what was driven out of memory."""
    if former is None or not is_lost(work, former):
        return
    name = former.served_name
    try:
        memory.request_load(name, runtime=former.runtime.name, actor=SYSTEM)
    except VenomError as error:
        logger.info("former model not brought back model=%s %s", name, error)
    else:
        work.log(f"Back to {name}: it is loaded again.", LogLevel.WARNING)


def _bring_servers_back(work: Work) -> frozenset[str]:
    """Whether they ran, and with what; the ids of those that were touched. What was
    tried leaves first, so that there is memory for what comes back."""
    undo: dict[str, Any] = work.operation.checkpoint.get("undo") or {}
    rows = Runtime.objects.select_related("node").in_bulk(list(undo))
    pairs = [(row, undo[str(pk)]) for pk, row in rows.items()]
    for row, before in pairs:
        if not _is_as_before(row, before):
            stop_server(work, row)
    for row, before in pairs:
        launch = _launch(before)
        if before["ran"] and launch is not None:
            work.log(f"Starting {place(row)} again as it was.", LogLevel.WARNING)
            start_server(work, row, launch)
    return frozenset(undo)


def _is_as_before(row: Runtime, before: dict[str, Any]) -> bool:
    runs = control_for(row).look().state in ALIVE
    if not runs:
        return True  # nothing of it is left to stop
    return bool(before["ran"]) and was_launched(row) == _launch(before)


def _launch(before: dict[str, Any]) -> Launch | None:
    told = before["launch"]
    if not told:
        return None
    return Launch(
        argv=tuple(told["argv"]),
        environment=dict(told["environment"]),
        model=told["model"],
        served_name=told["served_name"],
    )


def _bring_model_back(
    work: Work, former: Activation | None, *, was_touched: frozenset[str]
) -> None:
    """In memory where it was, and proved by one token where it had gone."""
    if former is None:
        return
    former.runtime.refresh_from_db()
    runtime, name = former.runtime, former.served_name
    if runtime.kind in CAN_UNLOAD and is_lost(work, former):
        load_into_memory(runtime, name, check=work.check)
        note_memory(runtime)
    if str(runtime.pk) not in was_touched:
        return
    with errors_named(name, runtime, RollBackFailed):
        adapter_for(runtime).confirm(
            name,
            seconds=settings.ENV.VENOM_FIRST_BYTE_SECONDS_LOCAL,
            check=work.check,
            forever=memory.is_pinned(runtime, name),
        )


def _say_lost(work: Work, former: Activation | None, error: VenomError) -> str:
    if former is None:
        sentence = f"What ran before could not be brought back: {error}"
    else:
        sentence = (
            f"{former.served_name} on {place(former.runtime)} could not be brought "
            f"back: {error}"
        )
    work.log(sentence, LogLevel.ERROR)
    return sentence
