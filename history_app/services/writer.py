"""Brings rows from memory to the database, or to the spool while that is away.

Called by the recorder only. One thread writes a batch every 0.1 s or 500 rows. A
second one touches no database, so that nothing can hold it up: once a write fails, or
lasts longer than a moment, it spools what waits every 0.1 s until a write succeeds.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection

from history_app.metrics import request_metrics
from history_app.services import batches, lives, lost, spool
from history_app.services.row_values import Row

logger = logging.getLogger(__name__)

# From one write to the next. With the write itself 0.2 s: what kill -9 may cost.
FLUSH_SECONDS = 0.1
SHORTEST_SECONDS = 0.05
MOMENT_SECONDS = 0.5
RETRY_SECONDS = 1.0
# Without a row for so long the connection is closed. To open one for each batch cost a
# quarter of the history's CPU: the last that SQLite closes writes its log back.
REST_SECONDS = 0.25
EXIT_SECONDS = 1.0
MINUTE_SECONDS = 60.0
MOST_ROWS = 20_000


class Writer:
    """The rows of one process that are not written yet, by id, latest state only."""

    def __init__(self, every_minute: Callable[[], None]) -> None:
        self._every_minute = every_minute
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._spooling = threading.Lock()
        self._waiting: dict[UUID, Row] = {}
        self._in_flight: dict[UUID, Row] = {}
        self._dropped = 0
        self._spool = spool.Spool()
        self._work = threading.Event()
        self._much_work = threading.Event()
        # Guards `_owed`: a write is under way or has failed and is tried again.
        self._owing = threading.Condition()
        self._owed = False
        self._is_started = False

    @property
    def waiting(self) -> int:
        return len(self._waiting) + len(self._in_flight)

    def start(self) -> None:
        """Begin before the first row: what an ended process left is settled now."""
        if not self._is_started:
            self._start()

    def put(self, pk: UUID, row: Row) -> None:
        """Take a row's new state over; never waits and never raises."""
        with self._lock:
            if pk not in self._waiting and len(self._waiting) >= MOST_ROWS:
                self._dropped += 1
                return
            self._waiting[pk] = row
        self.start()
        if not self._work.is_set():
            self._work.set()
        if len(self._waiting) >= batches.BATCH_ROWS:
            self._much_work.set()

    def flush(self) -> None:
        """Write what waits, in the caller's thread; raises what the database raises."""
        with self._flushing:
            with self._lock:
                self._in_flight, self._waiting = self._waiting, {}
                rows = list(self._in_flight.values())
                self._work.clear()
                self._much_work.clear()
            try:
                batches.write(rows)
            except BaseException:
                self._take_back()
                raise
            with self._lock:  # without those that were spooled while this took long
                written, self._in_flight = self._in_flight, {}
        request_metrics.count(written.values())
        self._tell_dropped()

    def _flush_here(self) -> None:
        batches.connect_to_write()
        self.flush()

    def flush_at_exit(self) -> None:
        """The last write of a process. It does not wait for a database that is away:
        what is not written within a second is spooled."""
        self._work.set()
        self._much_work.set()
        ends = time.monotonic() + EXIT_SECONDS
        while self.waiting and time.monotonic() < ends:
            time.sleep(0.01)
        self._to_spool()
        self._spool.release()
        self._tell_dropped()

    def _take_back(self) -> None:
        with self._lock:  # the newer state wins; what was spooled is here no more
            self._waiting = {**self._in_flight, **self._waiting}
            self._in_flight = {}
            self._work.set()

    def _tell_dropped(self) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            logger.error("history rows lost, too many waited rows=%s", dropped)

    def _start(self) -> None:
        with self._lock:
            if self._is_started:
                return
            self._is_started = True
        lives.hold()
        atexit.register(self.flush_at_exit)
        _in_thread("history-writer", self._keep_writing)
        _in_thread("history-spooler", self._keep_safe)
        _in_thread("history-replay", lost.settle_in_thread)

    def _keep_writing(self) -> None:
        next_minute = time.monotonic() + MINUTE_SECONDS
        next_write = 0.0
        while True:
            rest = REST_SECONDS if batches.is_connected() else MINUTE_SECONDS
            if self._work.wait(max(0, min(rest, next_minute - time.monotonic()))):
                # A lone row waits a little too: its end often follows at once.
                pause = max(SHORTEST_SECONDS, next_write - time.monotonic())
                self._much_work.wait(pause)
                next_write = time.monotonic() + FLUSH_SECONDS
                self._write_for_sure()
            else:
                connection.close()
            if time.monotonic() >= next_minute:
                next_minute = time.monotonic() + MINUTE_SECONDS
                self._every_minute()

    def _write_for_sure(self) -> None:
        self._owe(True)
        while not self._try(self._flush_here):
            time.sleep(RETRY_SECONDS)
            # All may be spooled by now; and an outage is one warning, not one a second.
            while not self._try(batches.probe, logging.DEBUG):
                time.sleep(RETRY_SECONDS)
        self._owe(False)

    def _try(self, write: Callable[[], None], level: int = logging.WARNING) -> bool:
        try:
            write()
        except (DatabaseError, InterfaceError) as error:
            reason = str(error).partition("\n")[0]
            logger.log(level, "history not written yet %s", reason)
        except Exception:
            logger.exception("history not written")
        else:
            return True
        connection.close()
        return False

    def _owe(self, is_owed: bool) -> None:
        with self._owing:
            self._owed = is_owed
            self._owing.notify_all()

    def _keep_safe(self) -> None:
        while True:
            with self._owing:
                self._owing.wait_for(lambda: self._owed)
                is_quick = self._owing.wait_for(self._is_paid, MOMENT_SECONDS)
            while not is_quick:
                self._to_spool()
                with self._owing:
                    is_quick = self._owing.wait_for(self._is_paid, FLUSH_SECONDS)
            if self._spool.release():
                _in_thread("history-replay", lost.settle_in_thread)

    def _is_paid(self) -> bool:
        return not self._owed

    def _to_spool(self) -> None:
        """On return what waited is on disk, whoever brought it there."""
        with self._spooling:
            with self._lock:
                rows = {**self._in_flight, **self._waiting}
                self._in_flight, self._waiting = {}, {}
            if rows:
                self._append(rows)

    def _append(self, rows: dict[UUID, Row]) -> None:
        try:
            self._spool.append(list(rows.values()))
        except OSError as error:
            logger.error("history not spooled rows=%s %s", len(rows), error)
            with self._lock:
                self._waiting = {**rows, **self._waiting}
            return
        request_metrics.count(rows.values())


def _in_thread(name: str, work: Callable[[], None]) -> None:
    threading.Thread(target=work, name=name, daemon=True).start()
