"""Carrying an operation out: claim it, perform it, write how it ended.

`carry_out(pk, perform)` is called by tasks with an id from the queue; what the
performing code may do meanwhile stands in `work.py`. Every write carries the fencing
token of its claim, so a worker given up for dead changes nothing any more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import IntegrityError, connections, transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce
from django.utils import timezone, translation

from models_app.choices import LogLevel, OperationStatus, PendingPhase
from models_app.models import Operation
from models_app.querysets import OperationQuerySet
from models_app.services import operation_rows, turns
from models_app.services.work import (
    AWAY,
    DRAINING,
    Cancelled,
    Draining,
    Interrupted,
    Line,
    Paused,
    Stopped,
    Work,
)
from venom_site.clients import processes
from venom_site.lib.errors import VenomError
from venom_site.lib.logging import operation_id

logger = logging.getLogger(__name__)

ENDING_TRIES = 8
MOST_INTERRUPTIONS = 20
Perform = Callable[[Work], None]


def claim(pk: UUID | str) -> Work | None:
    """Take the operation if it is its turn: one conditional UPDATE, one row or none."""
    token = uuid4()
    try:
        with transaction.atomic():
            operation = Operation.objects.select_related("node").filter(pk=pk).first()
            if operation is None:
                return None
            if turns.has_come(operation) and _take(operation, token):
                operation_rows.announce(operation)
                return Work(operation, token)
    except IntegrityError:
        logger.debug("another operation holds the lock operation=%s", pk)
    _mark_waiting(pk)
    return None


def _take(operation: Operation, token: UUID) -> bool:
    claimed = Operation.objects.startable().first_of_lock().filter(pk=operation.pk)
    taken = claimed.update(
        status=OperationStatus.IN_PROGRESS,
        claim_token=token,
        worker=processes.identity(settings.NODE),
        attempts=F("attempts") + 1,
        started_at=Coalesce(F("started_at"), Value(timezone.now())),
        progressed_at=timezone.now(),
        phase="starting",
    )
    if taken:
        operation.refresh_from_db()
    return bool(taken)


def _mark_waiting(pk: UUID | str) -> None:
    """Show that it waits for another; nothing to show for one that ended or runs."""
    fresh = (PendingPhase.QUEUED, PendingPhase.SCHEDULED)
    queued = Operation.objects.startable().filter(pk=pk, phase__in=fresh)
    if queued.update(phase=PendingPhase.WAITING):
        operation_rows.announce(operation_rows.get_operation(pk))


def carry_out(pk: UUID | str, perform: Perform) -> None:
    """Claim and perform; whatever happens ends in the row, never in the queue.

    What is stored is English whatever language this thread was left in.
    """
    if DRAINING.is_set():  # another worker's sweep sends it again
        return
    mark = operation_id.set(str(pk))
    try:
        with translation.override("en"):
            _carry_out(pk, perform)
    except AWAY as error:
        logger.warning("database away, the sweep goes on with it %s", error)
        connections.close_all()
    finally:
        operation_id.reset(mark)


def _carry_out(pk: UUID | str, perform: Perform) -> None:
    work = claim(pk)
    if work is None:
        return
    with work:
        ending = _perform(work, perform)
    _write_ending(work, ending)
    if not DRAINING.is_set():
        turns.wake_others(work.operation)


def _perform(work: Work, perform: Perform) -> Stopped | VenomError | None:
    try:
        perform(work)
    except Stopped as stopped:
        return stopped
    except VenomError as error:
        logger.warning("operation failed code=%s %s", error.code, error)
        return error
    except AWAY as error:
        logger.warning("database away in the middle, to be continued %s", error)
        connections.close_all()
        return Interrupted()
    except Exception:
        logger.exception("operation failed by a defect")
        return VenomError()
    return None


def _write_ending(work: Work, ending: Stopped | VenomError | None) -> None:
    """Write how it ended; a database that is away gets several chances.

    If all fail the row stays running without a heartbeat and the sweep picks it up.
    """
    fields, lines = work.unwritten()
    for attempt in range(ENDING_TRIES):
        try:
            _end(work, ending, fields, lines)
        except AWAY as error:
            logger.warning("ending not written, trying again %s", error)
            connections.close_all()
            time.sleep(0.2 * 2**attempt)
        else:
            return
    logger.error("ending not written, the sweep will pick the operation up")


def _end(
    work: Work,
    ending: Stopped | VenomError | None,
    fields: dict[str, Any],
    lines: list[Line],
) -> None:
    pk, token = work.operation.pk, work.token
    if fields or lines:
        _write_last(pk, token, fields, lines)
    if ending is None:
        operation_rows.finish(pk, token, OperationStatus.COMPLETED)
    elif isinstance(ending, Cancelled):
        operation_rows.finish(pk, token, OperationStatus.CANCELLED)
    elif isinstance(ending, Paused):
        give_back(pk, token, PendingPhase.PAUSED)
    elif isinstance(ending, Draining):
        give_back(pk, token, PendingPhase.INTERRUPTED, attempts=F("attempts") - 1)
    elif isinstance(ending, Interrupted):
        interrupt(pk, token, "The database was away; the operation goes on by itself.")
    elif isinstance(ending, VenomError):
        operation_rows.finish(
            pk,
            token,
            OperationStatus.FAILED,
            error=str(ending),
            error_code=ending.code,
            reason=ending.stored() if ending.is_stored else "",
        )
    else:
        logger.warning("another claim took over, nothing written")


def _write_last(
    pk: UUID, token: UUID, fields: dict[str, Any], lines: list[Line]
) -> None:
    """Emptied once written: a later try repeats nothing."""
    with transaction.atomic():
        rows = Operation.objects.claimed_by(pk, token)
        if rows.update(heartbeat=F("heartbeat"), **fields):
            operation_rows.write_lines(pk, lines)
    fields.clear()
    lines.clear()


def give_back(pk: UUID, token: UUID | None, phase: str, **fields: Any) -> bool:
    """Return a running operation to the queue, keeping what it has done.

    One that somebody wants cancelled ends here instead: as a pending row with that
    wish it could never start again. A pause taken back meanwhile goes on at once.
    """
    with transaction.atomic():
        rows = Operation.objects.claimed_by(pk, token)
        _keep_the_wish_to_cancel(rows)
        if not rows.filter(cancel_requested=False).update(
            status=OperationStatus.PENDING,
            phase=phase,
            claim_token=None,
            dispatched_at=None,
            **fields,
        ):
            return operation_rows.finish(pk, token, OperationStatus.CANCELLED)
        operation = operation_rows.get_operation(pk)
        if phase == PendingPhase.PAUSED and not operation.pause_requested:
            Operation.objects.pending().filter(pk=pk).update(phase=PendingPhase.QUEUED)
            operation_rows.dispatch(operation)
        operation_rows.announce(operation_rows.get_operation(pk))
        operation_rows.wake_next(operation.lock_key)
    return True


def _keep_the_wish_to_cancel(rows: OperationQuerySet) -> None:
    """Of one that has something to undo: the next claim undoes it, then it ends."""
    row = rows.filter(cancel_requested=True).first()
    if row is not None and row.must_undo:
        kept = row.checkpoint | {"cancelled": True}
        rows.update(checkpoint=kept, cancel_requested=False)


def interrupt(pk: UUID, token: UUID | None, reason: str) -> bool:
    """Give back what lost its worker or database, with the reason in its log.

    After `MOST_INTERRUPTIONS` in a row without any progress it fails instead.
    """
    row = operation_rows.get_operation(pk)
    times = row.interruptions + 1
    if times >= MOST_INTERRUPTIONS and not row.cancel_requested:
        error = f"It was interrupted {times} times in a row without any progress."
        failed = OperationStatus.FAILED
        return operation_rows.finish(
            pk, token, failed, error=error, error_code="interrupted_too_often"
        )
    phase = PendingPhase.PAUSED if row.pause_requested else PendingPhase.INTERRUPTED
    with transaction.atomic():
        back = give_back(pk, token, phase, interruptions=F("interruptions") + 1)
        if back and not row.cancel_requested:
            operation_rows.write_log(pk, reason, LogLevel.WARNING)
    return back
