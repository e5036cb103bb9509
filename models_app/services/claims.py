"""Carrying an operation out: claim, heartbeat, progress, and every way to stop.

`carry_out(pk, perform)` is called by tasks with an id from the queue. The work gets a
`Work`, calls `check()` at least every half second and `report()` as often as it
likes: writing happens in a thread, at most twice a second.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    connections,
    transaction,
)
from django.db.models import F, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from models_app.choices import (
    MOST_RUNNING,
    LogLevel,
    OperationStatus,
    PendingPhase,
)
from models_app.models import Operation
from models_app.services import operations
from venom_site.clients import processes
from venom_site.lib.errors import VenomError
from venom_site.lib.logging import operation_id

logger = logging.getLogger(__name__)

DRAINING = threading.Event()  # set when this worker was asked to stop
WRITE_GAP_SECONDS = 0.5
ENDING_TRIES = 8


class Stopped(Exception):
    """The work must end now without a result; not an error."""


class Cancelled(Stopped):
    """Somebody asked for it."""


class Paused(Stopped):
    """Somebody holds it; what was done is kept."""


class Draining(Stopped):
    """This worker is leaving; another one goes on."""


class Fenced(Stopped):
    """Another claim has taken over: write nothing more."""


class Work:
    """What the performing code holds: the claimed row and the only ways to write it."""

    def __init__(self, operation: Operation, token: UUID) -> None:
        self.operation = operation
        self.token = token
        self.params: dict[str, Any] = operation.params
        self._fields: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # an older value never overtakes a newer one
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._stop: Stopped | None = None
        self._thread = threading.Thread(target=self._keep, daemon=True)

    # What the work calls

    def check(self) -> None:
        """Raise `Stopped` when the work must end. Costs nothing; call it often."""
        if self._stop is not None:
            raise self._stop
        if DRAINING.is_set():
            raise Draining

    def report(self, **fields: Any) -> None:
        """Progress: `progress`, `phase`, `message`, `bytes_done`, …; no database here."""
        with self._lock:
            self._fields.update(fields)
        self._wake.set()
        self.check()

    def checkpoint(self, **state: Any) -> None:
        """Keep what a later claim needs to go on; written at once."""
        self.operation.checkpoint |= state
        kept = {"checkpoint": self.operation.checkpoint, "interruptions": 0}
        with self._writing:
            fields = self._take_fields()
            rows = Operation.objects.claimed_by(self.operation.pk, self.token)
            if not rows.update(**(_moved(fields) | kept)):
                raise Fenced
        if fields:
            operations.announce(operations.get_operation(self.operation.pk))
        self.check()

    def log(self, line: str, level: str = LogLevel.INFO) -> None:
        operations.write_log(self.operation.pk, line, level)

    def wait(self, seconds: float) -> None:
        """Sleep in short steps, so that a stop is noticed at once."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self.check()
            time.sleep(min(0.1, left))
        self.check()

    # The heartbeat thread

    def __enter__(self) -> Work:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._wake.set()
        self._thread.join()

    def _keep(self) -> None:
        try:
            while not self._ended.is_set():
                self._wake.wait(settings.OPERATION_HEARTBEAT_SECONDS)
                self._wake.clear()
                self._beat_and_survive()
                self._ended.wait(WRITE_GAP_SECONDS)
        finally:
            connections.close_all()

    def _beat_and_survive(self) -> None:
        try:
            self._beat()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("heartbeat not written, trying again %s", error)
            connections.close_all()

    def _take_fields(self) -> dict[str, Any]:
        with self._lock:
            fields, self._fields = self._fields, {}
        return fields

    def _beat(self) -> None:
        with self._writing:
            fields = self._take_fields()
            rows = Operation.objects.claimed_by(self.operation.pk, self.token)
            try:
                alive = rows.update(heartbeat=F("heartbeat") + 1, **_moved(fields))
            except (DatabaseError, InterfaceError):
                with self._lock:  # newer values win over the ones not written
                    self._fields = fields | self._fields
                raise
        if not alive:
            self._stop = Fenced()
            return
        operation = operations.get_operation(self.operation.pk)
        if operation.cancel_requested:
            self._stop = Cancelled()
        elif operation.pause_requested:
            self._stop = Paused()
        if fields:
            operations.announce(operation)


def _moved(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields to write; real progress also resets what counts against the row."""
    if {"progress", "bytes_done"} & fields.keys():
        return fields | {"progressed_at": timezone.now(), "interruptions": 0}
    return fields


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
            if not taken:
                return None
            operation.refresh_from_db()
            operations.announce(operation)
    except IntegrityError:  # another operation holds the lock
        _mark_waiting(pk)
        return None
    return Work(operation, token)


def _too_many(operation: Operation) -> bool:
    most = MOST_RUNNING.get(operation.operation_type)
    if most is None:
        return False
    same = Operation.objects.running().filter(
        operation_type=operation.operation_type, node_id=operation.node_id
    )
    return same.count() >= most


def _mark_waiting(pk: UUID | str) -> None:
    queued = Operation.objects.pending().filter(pk=pk, phase=PendingPhase.QUEUED)
    if queued.update(phase=PendingPhase.WAITING):
        operations.announce(operations.get_operation(pk))


def carry_out(pk: UUID | str, perform: Callable[[Work], None]) -> None:
    """Claim and perform; whatever happens ends in the row, never in the queue."""
    work = claim(pk)
    if work is None:
        return
    mark = operation_id.set(str(pk))
    try:
        with work:
            ending = _perform(work, perform)
        _write_ending(work, ending)
    finally:
        operation_id.reset(mark)
    _wake_same_type(work.operation)


def _perform(
    work: Work, perform: Callable[[Work], None]
) -> Stopped | VenomError | None:
    try:
        perform(work)
    except Stopped as stopped:
        return stopped
    except VenomError as error:
        logger.warning("operation failed code=%s %s", error.code, error)
        return error
    except Exception:
        logger.exception("operation failed by a defect")
        return VenomError()
    return None


def _write_ending(work: Work, ending: Stopped | VenomError | None) -> None:
    """Write how it ended; a database that is away gets several chances.

    If all fail the row stays running without a heartbeat and the sweep picks it up.
    """
    for attempt in range(ENDING_TRIES):
        try:
            _end(work, ending)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("ending not written, trying again %s", error)
            connections.close_all()
            time.sleep(0.2 * 2**attempt)
        else:
            return
    logger.error("ending not written, the sweep will pick the operation up")


def _end(work: Work, ending: Stopped | VenomError | None) -> None:
    pk, token = work.operation.pk, work.token
    fields = work._fields
    if fields:
        Operation.objects.claimed_by(pk, token).update(**_moved(fields))
    if ending is None:
        operations.finish(pk, token, OperationStatus.COMPLETED)
    elif isinstance(ending, Cancelled):
        operations.finish(pk, token, OperationStatus.CANCELLED)
    elif isinstance(ending, Paused):
        give_back(pk, token, PendingPhase.PAUSED)
    elif isinstance(ending, Draining):
        give_back(pk, token, PendingPhase.INTERRUPTED, attempts=F("attempts") - 1)
    elif isinstance(ending, VenomError):
        operations.finish(
            pk,
            token,
            OperationStatus.FAILED,
            error=str(ending.message),
            error_code=ending.code,
        )
    else:
        logger.warning("another claim took over, nothing written")


def give_back(pk: UUID, token: UUID | None, phase: str, **fields: Any) -> bool:
    """Return a running operation to the queue, keeping what it has done."""
    with transaction.atomic():
        rows = Operation.objects.claimed_by(pk, token)
        if not rows.update(
            status=OperationStatus.PENDING,
            phase=phase,
            claim_token=None,
            dispatched_at=None,
            **fields,
        ):
            return False
        operation = operations.get_operation(pk)
        operations.announce(operation)
        operations.wake_next(operation.lock_key)
    return True


def _wake_same_type(operation: Operation) -> None:
    """Where a type is capped, an end makes room for the oldest of the others."""
    if operation.operation_type not in MOST_RUNNING or DRAINING.is_set():
        return
    waiting = Operation.objects.startable().first_of_lock()
    waiting = waiting.filter(operation_type=operation.operation_type)
    following = waiting.order_by("created_at", "id").first()
    if following is not None:
        operations.dispatch(following)
