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

from models_app.choices import MOST_RUNNING, LogLevel, OperationStatus, PendingPhase
from models_app.models import Node, Operation
from models_app.services import operations
from models_app.services.work import (
    AWAY,
    DRAINING,
    Cancelled,
    Draining,
    Interrupted,
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
            if operation is None or _too_many(operation):
                return None
            claimed = Operation.objects.startable().first_of_lock().filter(pk=pk)
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
                operations.announce(operation)
                return Work(operation, token)
    except IntegrityError:
        logger.debug("another operation holds the lock operation=%s", pk)
    _mark_waiting(pk)
    return None


def _too_many(operation: Operation) -> bool:
    """Whether the cap of its type is reached on its node.

    The node's row is locked, else eight claims at once would all count too few
    (PostgreSQL; on SQLite the transaction itself is the lock).
    """
    most = MOST_RUNNING.get(operation.operation_type)
    if most is None:
        return False
    Node.objects.select_for_update().get(pk=operation.node_id)
    return _running_like(operation) >= most


def _running_like(operation: Operation) -> int:
    running = Operation.objects.running().filter(
        operation_type=operation.operation_type, node_id=operation.node_id
    )
    return running.count()


def _mark_waiting(pk: UUID | str) -> None:
    """Show that it waits for its lock; nothing to show for one that ended or runs."""
    fresh = (PendingPhase.QUEUED, PendingPhase.SCHEDULED)
    queued = Operation.objects.startable().exclude(lock_key="")
    if queued.filter(pk=pk, phase__in=fresh).update(phase=PendingPhase.WAITING):
        operations.announce(operations.get_operation(pk))


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
    _wake_same_type(work.operation)


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
    fields = work.unwritten()
    for attempt in range(ENDING_TRIES):
        try:
            _end(work, ending, fields)
        except AWAY as error:
            logger.warning("ending not written, trying again %s", error)
            connections.close_all()
            time.sleep(0.2 * 2**attempt)
        else:
            return
    logger.error("ending not written, the sweep will pick the operation up")


def _end(
    work: Work, ending: Stopped | VenomError | None, fields: dict[str, Any]
) -> None:
    pk, token = work.operation.pk, work.token
    if fields:
        Operation.objects.claimed_by(pk, token).update(**fields)
    if ending is None:
        operations.finish(pk, token, OperationStatus.COMPLETED)
    elif isinstance(ending, Cancelled):
        operations.finish(pk, token, OperationStatus.CANCELLED)
    elif isinstance(ending, Paused):
        give_back(pk, token, PendingPhase.PAUSED)
    elif isinstance(ending, Draining):
        give_back(pk, token, PendingPhase.INTERRUPTED, attempts=F("attempts") - 1)
    elif isinstance(ending, Interrupted):
        interrupt(pk, token, "The database was away; the operation goes on by itself.")
    elif isinstance(ending, VenomError):
        error, code = str(ending.message), ending.code
        failed = OperationStatus.FAILED
        operations.finish(pk, token, failed, error=error, error_code=code)
    else:
        logger.warning("another claim took over, nothing written")


def give_back(pk: UUID, token: UUID | None, phase: str, **fields: Any) -> bool:
    """Return a running operation to the queue, keeping what it has done.

    One that somebody wants cancelled ends here instead: as a pending row with that
    wish it could never start again. A pause taken back meanwhile goes on at once.
    """
    with transaction.atomic():
        rows = Operation.objects.claimed_by(pk, token)
        if not rows.filter(cancel_requested=False).update(
            status=OperationStatus.PENDING,
            phase=phase,
            claim_token=None,
            dispatched_at=None,
            **fields,
        ):
            return operations.finish(pk, token, OperationStatus.CANCELLED)
        operation = operations.get_operation(pk)
        if phase == PendingPhase.PAUSED and not operation.pause_requested:
            Operation.objects.pending().filter(pk=pk).update(phase=PendingPhase.QUEUED)
            operations.dispatch(operation)
        operations.announce(operations.get_operation(pk))
        operations.wake_next(operation.lock_key)
    return True


def interrupt(pk: UUID, token: UUID | None, reason: str) -> bool:
    """Give back what lost its worker or database, with the reason in its log.

    After `MOST_INTERRUPTIONS` in a row without any progress it fails instead.
    """
    row = operations.get_operation(pk)
    times = row.interruptions + 1
    if times >= MOST_INTERRUPTIONS and not row.cancel_requested:
        error = f"It was interrupted {times} times in a row without any progress."
        failed = OperationStatus.FAILED
        return operations.finish(
            pk, token, failed, error=error, error_code="interrupted_too_often"
        )
    phase = PendingPhase.PAUSED if row.pause_requested else PendingPhase.INTERRUPTED
    with transaction.atomic():
        back = give_back(pk, token, phase, interruptions=F("interruptions") + 1)
        if back and not row.cancel_requested:
            operations.write_log(pk, reason, LogLevel.WARNING)
    return back


def _wake_same_type(operation: Operation) -> None:
    """Where a type is capped, an end makes room for the oldest of the others."""
    most = MOST_RUNNING.get(operation.operation_type)
    if most is None or DRAINING.is_set():
        return
    waiting = Operation.objects.next_in_line().filter(
        operation_type=operation.operation_type, node_id=operation.node_id
    )
    free = max(0, most - _running_like(operation))
    for following in waiting[:free]:
        operations.dispatch(following)
