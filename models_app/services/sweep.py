"""The sweep: picks up what fell. Runs at worker start and every five seconds.

Every step is a conditional UPDATE, so two sweeps at once are harmless. No step
compares a stored time with the wall clock to decide that somebody is dead: a worker
counts as lost when its process is gone from this machine, or when its heartbeat
number stood still for OPERATION_STALE_SECONDS by this process's monotonic clock.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections
from django.db.models import F, Q
from django.utils import timezone

from models_app.choices import LogLevel, OperationStatus, PendingPhase
from models_app.models import Operation
from models_app.services import nodes, operations
from models_app.services.claims import DRAINING, give_back
from venom_site.clients import processes
from venom_site.lib.queue import MESSAGE_LIFE_SECONDS

logger = logging.getLogger(__name__)

MOST_INTERRUPTIONS = 20  # in a row, without any progress between them
MOST_SENT = 32


class StandstillWatch:
    """Heartbeat numbers seen by this process and since when each has not moved."""

    def __init__(self, stale_seconds: float) -> None:
        self.stale_seconds = stale_seconds
        self._seen: dict[UUID, tuple[UUID | None, int, float]] = {}
        self._looked_at = 0.0
        self._lock = threading.Lock()

    def stale(self, running: list[Operation], now: float) -> list[Operation]:
        """Those whose heartbeat stood still; `now` is monotonic seconds.

        After a pause of our own (machine asleep, database away) the first look only
        starts the clock: the others may have slept as well.
        """
        with self._lock:
            if now - self._looked_at > self.stale_seconds * 2:
                self._seen.clear()
            self._looked_at = now
            fresh = {row.pk: self._since(row, now) for row in running}
            self._seen = fresh
            return [
                row for row in running if now - fresh[row.pk][2] > self.stale_seconds
            ]

    def _since(self, row: Operation, now: float) -> tuple[UUID | None, int, float]:
        token, beat, since = self._seen.get(row.pk, (None, -1, now))
        if (token, beat) == (row.claim_token, row.heartbeat):
            return token, beat, since
        return row.claim_token, row.heartbeat, now


_watch = StandstillWatch(settings.OPERATION_STALE_SECONDS)


def sweep_operations() -> None:
    """Give back what lost its worker, then send what nobody was told of."""
    nodes.mark_seen()
    running = list(Operation.objects.running())
    gone = [row for row in running if processes.is_gone(row.worker)]
    still = _watch.stale([row for row in running if row not in gone], time.monotonic())
    for row in [*gone, *still]:
        reap(row)
    if not DRAINING.is_set():
        send_unsent()


def at_worker_start() -> None:
    """The first look of a new worker; a database that is away is no reason to die."""
    try:
        sweep_operations()
    except (DatabaseError, InterfaceError) as error:
        logger.warning("first sweep failed, the next one follows %s", error)
        connections.close_all()


def reap(row: Operation) -> None:
    """Return one abandoned operation to the queue, or end it where it must end."""
    if row.cancel_requested:
        operations.finish(row.pk, row.claim_token, OperationStatus.CANCELLED)
        return
    if row.interruptions + 1 >= MOST_INTERRUPTIONS:
        operations.finish(
            row.pk,
            row.claim_token,
            OperationStatus.FAILED,
            error=f"The worker died {row.interruptions + 1} times in a row "
            "without any progress.",
            error_code="worker_died",
        )
        return
    phase = PendingPhase.PAUSED if row.pause_requested else PendingPhase.INTERRUPTED
    fields: dict[str, Any] = {"interruptions": F("interruptions") + 1}
    if give_back(row.pk, row.claim_token, phase, **fields):
        logger.warning("operation lost its worker operation=%s", row.pk)
        operations.write_log(
            row.pk,
            "The worker was lost; the operation goes on by itself.",
            LogLevel.WARNING,
        )


def send_unsent() -> None:
    """Send pending operations that were never sent, or so long ago that the message
    has expired; a time in the future means that the clock stepped back."""
    now = timezone.now()
    old = now - timedelta(seconds=MESSAGE_LIFE_SECONDS)
    unsent = (
        Q(dispatched_at__isnull=True)
        | Q(dispatched_at__lt=old)
        | Q(dispatched_at__gt=now + timedelta(seconds=5))
    )
    rows = Operation.objects.startable().first_of_lock().with_holder().filter(unsent)
    for row in rows.filter(holder_id__isnull=True).order_by("created_at", "id")[
        :MOST_SENT
    ]:
        operations.dispatch(row)
