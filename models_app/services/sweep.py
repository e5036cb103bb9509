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
from uuid import UUID

from django.conf import settings
from django.db import connections
from django.db.models import Q
from django.utils import timezone

from models_app.models import Operation
from models_app.services import nodes, operation_rows
from models_app.services.claims import interrupt
from models_app.services.work import AWAY, DRAINING
from venom_site.clients import processes
from venom_site.lib.queue import MESSAGE_LIFE_SECONDS

logger = logging.getLogger(__name__)

MOST_SENT = 32
LONGEST_PAUSE_SECONDS = 60  # between two looks that still belong together


class StandstillWatch:
    """Heartbeat numbers seen by this process and since when each has not moved."""

    def __init__(self, stale_seconds: float) -> None:
        self.stale_seconds = stale_seconds
        self._seen: dict[UUID, tuple[UUID | None, int, float]] = {}
        self._looked_at = 0.0
        self._lock = threading.Lock()

    def stale(self, running: list[Operation], now: float) -> list[Operation]:
        """Those whose heartbeat stood still; `now` is monotonic seconds.

        After a long pause of our own the first look only starts the clock. Pauses of
        some seconds are usual: with several workers the sweeps are shared out.
        """
        with self._lock:
            if now - self._looked_at > LONGEST_PAUSE_SECONDS:
                self._seen.clear()
            self._looked_at = now
            fresh = {row.pk: self._since(row, now) for row in running}
            self._seen = fresh
            return [
                row for row in running if now - fresh[row.pk][2] > self.stale_seconds
            ]

    def forget(self) -> None:
        """Start anew: while the database is away nobody's heartbeat can move."""
        with self._lock:
            self._seen.clear()

    def _since(self, row: Operation, now: float) -> tuple[UUID | None, int, float]:
        token, beat, since = self._seen.get(row.pk, (None, -1, now))
        if (token, beat) == (row.claim_token, row.heartbeat):
            return token, beat, since
        return row.claim_token, row.heartbeat, now


_watch = StandstillWatch(settings.OPERATION_STALE_SECONDS)


def sweep_operations() -> None:
    """Give back what lost its worker, then send what nobody was told of.

    A database that is away is no reason to die: the next sweep follows.
    """
    try:
        _reap_the_lost()
        if not DRAINING.is_set():
            send_unsent()
    except AWAY as error:
        logger.warning("sweep failed, the next one follows %s", error)
        _watch.forget()
        connections.close_all()


def at_worker_start() -> None:
    """The first look of a new worker; what its predecessor was sent is sent again."""
    sweep_operations()
    try:
        send_unsent(again=True)
    except AWAY as error:
        logger.warning("first sweep failed, the next one follows %s", error)
        connections.close_all()


def _reap_the_lost() -> None:
    nodes.mark_seen()
    running = list(Operation.objects.running())
    gone = [row for row in running if processes.is_gone(row.worker)]
    still = _watch.stale([row for row in running if row not in gone], time.monotonic())
    for row in [*gone, *still]:
        reap(row)


def reap(row: Operation) -> None:
    """Return one abandoned operation to the queue, or end it where it must end."""
    reason = "The worker was lost; the operation goes on by itself."
    if interrupt(row.pk, row.claim_token, reason):
        logger.warning("operation lost its worker operation=%s", row.pk)


def send_unsent(*, again: bool = False) -> None:
    """Send pending operations that were never sent, or so long ago that the message
    has expired; a time in the future means that the clock stepped back.

    With `again` all of this node: a worker that died took its messages along.
    """
    now = timezone.now()
    old = now - timedelta(seconds=MESSAGE_LIFE_SECONDS)
    unsent = (
        Q(dispatched_at__isnull=True)
        | Q(dispatched_at__lt=old)
        | Q(dispatched_at__gt=now + timedelta(seconds=5))
    )
    if again:
        unsent = Q(node__name=settings.NODE)
    for row in Operation.objects.next_in_line().filter(unsent)[:MOST_SENT]:
        operation_rows.dispatch(row)
