"""Servers that should run and do not: started again with growing pauses, and told.

Called by the health check with what it saw. Only a process of our own is started again
here; systemd does so itself and is only reported. Every change is one conditional
UPDATE, so two checks count a crash once.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from models_app.choices import OperationType
from models_app.models import Operation
from models_app.services import targets
from runtime_app.choices import RuntimeStatus, Wish
from runtime_app.models import Runtime
from runtime_app.services import servers
from runtime_app.services.alerts import Trouble, close_by_recovery, raise_alert
from runtime_app.services.server_rows import GONE, note
from venom_site.lib.errors import VenomError

SERVER_CRASHED = "server_crashed"
BACK_OFF_SECONDS = (1, 5, 15, 60, 300)
STABLE_AFTER = timedelta(seconds=60)  # then the next crash is a first one again
HOLDING = (
    *(OperationType.START, OperationType.STOP),
    *(OperationType.RESTART, OperationType.ACTIVATE),
)

logger = logging.getLogger(__name__)


def note_crash(runtime: Runtime, cause: str) -> None:
    """Its process is gone and nobody stopped it: start it again after a pause.

    Nothing while an operation has the server in its hands, which sees it itself. The
    row keeps the identity: what the dead process left behind is ended by the start.
    """
    if runtime.start_again_at is not None or _is_in_hands(runtime):
        return
    count, message = runtime.crashes + 1, cause or "Its process ended without a word."
    with transaction.atomic():
        rows = Runtime.objects.filter(
            pk=runtime.pk,
            process=runtime.process,
            wish=Wish.RUNNING,
            start_again_at=None,
            crashes=runtime.crashes,
        )
        if not rows.update(crashes=count, start_again_at=_next_start(count)):
            return
        note(runtime, **_fallen(message))
        raise_alert(_trouble(runtime, message))
    logger.error("server crashed runtime=%s times=%s %s", runtime.name, count, message)


def note_unit_crash(runtime: Runtime, cause: str, *, is_down: bool) -> None:
    """systemd saw it end and does what its unit says, or has done so already; here it
    is only told, once."""
    message = cause or "Its unit ended without a word."
    with transaction.atomic():
        rows = Runtime.objects.filter(pk=runtime.pk, crashes=runtime.crashes)
        if _is_in_hands(runtime) or not rows.update(crashes=runtime.crashes + 1):
            return
        if is_down:
            note(runtime, **_fallen(message))
        raise_alert(_trouble(runtime, message))
    logger.error("unit crashed runtime=%s %s", runtime.name, message)


def note_failed_start(operation: Operation, runtime: Runtime, cause: str) -> None:
    """A start after a crash failed: another one later, but not for ever.

    A start that a person asked for fails once; nobody tries it again.
    """
    if not operation.params.get("again"):
        return
    count = runtime.crashes + 1
    gives_up = count > len(BACK_OFF_SECONDS)
    with transaction.atomic():
        note(
            runtime,
            crashes=count,
            wish=Wish.STOPPED if gives_up else Wish.RUNNING,
            start_again_at=None if gives_up else _next_start(count),
        )
        raise_alert(_trouble(runtime, cause))
    if gives_up:
        logger.error("server stays stopped runtime=%s %s", runtime.name, cause)


def start_again(runtime: Runtime) -> None:
    """Write the operation when the pause is over; one that holds the target is left."""
    due = runtime.start_again_at
    if due is None or runtime.wish != Wish.RUNNING or due > timezone.now():
        return
    rows = Runtime.objects.filter(pk=runtime.pk, start_again_at=due)
    if not rows.update(start_again_at=None):
        return
    try:
        servers.request_again(runtime)
    except VenomError as error:
        logger.warning("server not started again runtime=%s %s", runtime.name, error)
        rows = Runtime.objects.filter(pk=runtime.pk, wish=Wish.RUNNING)
        rows.update(start_again_at=_next_start(runtime.crashes))


def note_restart(runtime: Runtime) -> None:
    """It runs again after a crash; pages show how often that was."""
    Runtime.objects.filter(pk=runtime.pk).update(restarts=F("restarts") + 1)


def note_serving(runtime: Runtime) -> None:
    """It answers: its trouble is over, and after a while also its count."""
    if not runtime.crashes:
        return
    close_by_recovery(_trouble(runtime, "").key, answered_at=timezone.now())
    since = runtime.process_started_at
    if since is not None and since < timezone.now() - STABLE_AFTER:
        Runtime.objects.filter(pk=runtime.pk).update(crashes=0)


def forget(runtime: Runtime) -> None:
    """A person started or stopped it: what was before does not count."""
    close_by_recovery(_trouble(runtime, "").key, answered_at=timezone.now())
    Runtime.objects.filter(pk=runtime.pk).update(crashes=0, start_again_at=None)


def _next_start(count: int) -> datetime:
    pause = BACK_OFF_SECONDS[min(max(count, 1), len(BACK_OFF_SECONDS)) - 1]
    return timezone.now() + timedelta(seconds=pause)


def _fallen(message: str) -> dict[str, Any]:
    gone = {name: value for name, value in GONE.items() if name != "process"}
    return gone | {"status": RuntimeStatus.OFFLINE, "error_message": message[:500]}


def _is_in_hands(runtime: Runtime) -> bool:
    lock = targets.runtimes_lock(runtime.node)
    rows = Operation.objects.open().filter(lock_key=lock)
    return rows.filter(operation_type__in=HOLDING).exists()


def _trouble(runtime: Runtime, message: str) -> Trouble:
    return Trouble(
        code=SERVER_CRASHED,
        message=message,
        provider=runtime.provider,
        runtime=runtime.name,
        model=runtime.launch.get("served_name", ""),
        endpoint=runtime.openai_url,
        node=runtime.node.name,
    )
