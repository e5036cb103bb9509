"""What performing code holds of its operation: progress, log, and when to stop.

Made by `claims.claim`, handed to the performing service. The work calls `check()` at
least every half second and `report()` as often as it likes: writing happens in the
heartbeat's thread, at most twice a second. Nothing here decides how a claim ends.

`report` and `note` touch no database themselves, so they may also be called from
within an event loop, as the lines of a stream arrive.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    connections,
    transaction,
)
from django.db.models import F
from django.utils import timezone

from models_app.choices import LogLevel
from models_app.models import Operation
from models_app.services import operation_rows
from venom_site.lib.units import duration_text

logger = logging.getLogger(__name__)

DRAINING = threading.Event()  # set when this worker was asked to stop
WRITE_GAP_SECONDS = 0.5
Line = tuple[str, str]  # level and text of a log line
AWAY = (OperationalError, InterfaceError)  # the database, not our mistake
REPORTABLE = frozenset(
    {"progress", "phase", "message", "bytes_done", "bytes_total", "speed_bps"}
)


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


class Interrupted(Stopped):
    """The database went away in the middle; the next claim goes on."""


class Work:
    """The claimed row and the only ways to write it while it runs."""

    def __init__(self, operation: Operation, token: UUID) -> None:
        self.operation = operation
        self.token = token
        self.params: dict[str, Any] = operation.params
        self._fields: dict[str, Any] = {}
        self._lines: list[Line] = []
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # an older value never overtakes a newer one
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._stop: Stopped | None = None
        self._is_undoing = False
        self._thread = threading.Thread(target=self._keep, daemon=True)

    # What the work calls

    def check(self) -> None:
        """Raise `Stopped` when the work must end. Costs nothing; call it often."""
        if self._stop is not None and not self._may_go_on(self._stop):
            raise self._stop
        if DRAINING.is_set():
            raise Draining

    @contextmanager
    def undoing(self) -> Iterator[None]:
        """Within it a wish to cancel or pause no longer ends the work: it is bringing
        back what was there before. A lost claim and a worker that leaves still do."""
        before, self._is_undoing = self._is_undoing, True
        try:
            yield
        finally:
            self._is_undoing = before

    def _may_go_on(self, stop: Stopped) -> bool:
        return self._is_undoing and isinstance(stop, Cancelled | Paused)

    def report(self, **fields: Any) -> None:
        """Progress, any of `REPORTABLE`; written soon, no database here."""
        shown = _fitted(fields)
        with self._lock:
            self._fields.update(shown)
        self._wake.set()
        self.check()

    def note(self, *, line: str = "", level: str = LogLevel.INFO, **state: Any) -> None:
        """As `checkpoint`, but written with the next heartbeat."""
        with self._lock:
            if line:
                self._lines.append((level, line))
            if state:
                self._fields["checkpoint"] = self._kept(state)
        self._wake.set()
        self.check()

    def checkpoint(self, *, line: str = "", **state: Any) -> None:
        """Keep what a later claim needs to go on, and its log line; written at once."""
        with self._writing, transaction.atomic():
            fields, lines = self._take()
            kept = {"checkpoint": self._kept(state), "interruptions": 0}
            rows = Operation.objects.claimed_by(self.operation.pk, self.token)
            if not rows.update(**(_moved(fields) | kept)):
                raise Fenced
            if line:
                lines.append((LogLevel.INFO, line))
            operation_rows.write_lines(self.operation.pk, lines)
            if lines or fields:
                self._announce()
        self.check()

    def log(self, line: str, level: str = LogLevel.INFO) -> None:
        """Add a line, in English, unless another claim has taken over."""
        if not Operation.objects.claimed_by(self.operation.pk, self.token).exists():
            raise Fenced
        operation_rows.write_log(self.operation.pk, line, level)

    def duration(self) -> str:
        """The time since the first claim, for a line of the log."""
        return duration_text(self.operation.duration_seconds)

    def wait(self, seconds: float) -> None:
        """Sleep in short steps, so that a stop is noticed at once."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self.check()
            time.sleep(min(0.1, left))
        self.check()

    # What the claim calls

    def unwritten(self) -> tuple[dict[str, Any], list[Line]]:
        """What the heartbeat has not written yet: fields, and lines of the log."""
        fields, lines = self._take()
        return _moved(fields), lines

    # The heartbeat thread

    def __enter__(self) -> Work:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._wake.set()
        self._thread.join()

    def _keep(self) -> None:
        """Beat once a second, sooner when there is progress to write."""
        idle = max(0.0, settings.OPERATION_HEARTBEAT_SECONDS - WRITE_GAP_SECONDS)
        try:
            while not self._ended.is_set():
                self._wake.wait(idle)
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

    def _kept(self, state: dict[str, Any]) -> dict[str, Any]:
        """The whole checkpoint with this in it; a copy, since another thread writes."""
        kept: dict[str, Any] = self.operation.checkpoint | state
        self.operation.checkpoint = kept
        return kept

    def _take(self) -> tuple[dict[str, Any], list[Line]]:
        with self._lock:
            fields, self._fields = self._fields, {}
            lines, self._lines = self._lines, []
        return fields, lines

    def _give_back(self, fields: dict[str, Any], lines: list[Line]) -> None:
        """Not written: newer values win over these, later lines come after."""
        with self._lock:
            self._fields = fields | self._fields
            self._lines = lines + self._lines

    def _beat(self) -> None:
        with self._writing:
            fields, lines = self._take()
            rows = Operation.objects.claimed_by(self.operation.pk, self.token)
            try:
                with transaction.atomic():
                    alive = rows.update(heartbeat=F("heartbeat") + 1, **_moved(fields))
                    if alive:
                        operation_rows.write_lines(self.operation.pk, lines)
            except (DatabaseError, InterfaceError):
                self._give_back(fields, lines)
                raise
        if not alive:
            self._stop = Fenced()
            return
        operation = operation_rows.get_operation(self.operation.pk)
        self._stop = _wish(operation)
        if fields or lines:
            operation_rows.announce(operation)

    def _announce(self) -> None:
        operation_rows.announce(operation_rows.get_operation(self.operation.pk))


def _wish(operation: Operation) -> Stopped | None:
    """What somebody has asked for; a pause taken back in time never happened."""
    if operation.cancel_requested:
        return Cancelled()
    return Paused() if operation.pause_requested else None


def _fitted(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields that the table takes for certain: a heartbeat must never fail on one."""
    if unknown := fields.keys() - REPORTABLE:
        raise TypeError(f"cannot be reported: {', '.join(sorted(unknown))}")
    for name, longest in (("phase", 40), ("message", 500)):
        if name in fields:
            fields[name] = str(fields[name])[:longest]
    if "progress" in fields:
        fields["progress"] = min(100.0, max(0.0, float(fields["progress"])))
    return fields


def _moved(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields to write; real progress also resets what counts against the row."""
    if {"progress", "bytes_done"} & fields.keys():
        return fields | {"progressed_at": timezone.now(), "interruptions": 0}
    return fields
