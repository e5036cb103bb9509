"""Who does what next: files in their order, large ones from several sides at once.

The one lock of a download and what is waited for under it. Fetching threads take
pieces; proving threads wait for a file to grow; the caller's thread looks from
outside without the lock, so that no slow disk keeps it from its `check`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from venom_site.clients.downloads_part import READ_BYTES, Part
from venom_site.clients.downloads_pieces import Piece
from venom_site.clients.downloads_refused import DownloadRefused, Passing

PATIENCE_SECONDS = 60
LONGEST_PAUSE_SECONDS = 15


class Queue:
    def __init__(self, parts: Sequence[Part], patience_seconds: float) -> None:
        self._waiting = deque(parts)
        self._patience_seconds = patience_seconds
        self.open: list[Part] = []
        self.lock = threading.Lock()
        self.work = threading.Condition(self.lock)  # something to take, or the end
        self.grown = threading.Condition(self.lock)  # something to prove, or the end
        self.over = threading.Event()
        self.failure: BaseException | None = None
        self.finished: deque[Part] = deque()
        self.words: deque[str] = deque()  # for the operation's log
        self._troubled_at: float | None = None
        self._quiet_until = 0.0
        if not parts:
            self.over.set()

    # -- taking and giving back ---------------------------------------------------

    def take(self) -> tuple[Part, Piece | None] | None:
        """A piece to fetch, or a part to open first; None when all is over."""
        with self.lock:
            while not self.over.is_set():
                for part in self.open:
                    if piece := part.claim():
                        return part, piece
                if self._waiting:
                    part = self._waiting.popleft()
                    self.open.append(part)
                    return part, None
                self.work.wait()
        return None

    def give_back(self, part: Part, piece: Piece) -> None:
        with self.lock:
            if part.release(piece):
                self._troubled_at = None
            self.wake()

    def record(self, part: Part, piece: Piece) -> None:
        """Bytes were written; who proves them is woken once it is worth it."""
        with self.lock:
            if part.record(piece):
                self._troubled_at = None
            if part.is_ahead(READ_BYTES):
                self.grown.notify_all()

    def record_all(self) -> None:
        """Also what connections hold that have fallen silent since."""
        with self.lock:
            for part in self.open:
                for piece in part.claims:
                    part.record(piece)

    def wake(self) -> None:
        """Under the lock: something has changed that somebody may wait for."""
        self.work.notify_all()
        self.grown.notify_all()

    def is_done(self, part: Part) -> None:
        with self.lock:
            self.open.remove(part)
            self.finished.append(part)
            if not self.open and not self._waiting:
                self.over.set()
            self.wake()

    # -- ending -------------------------------------------------------------------

    def fail(self, error: BaseException) -> None:
        with self.lock:
            self.failure = self.failure or error
        self.end()

    def end(self) -> None:
        with self.lock:
            self.over.set()
            self.wake()

    def say(self, words: str) -> None:
        self.words.append(words)

    # -- patience -----------------------------------------------------------------

    def be_polite(self) -> None:
        """Wait as long as the source wished, before asking it anything more."""
        self._sleep(self._quiet_until - time.monotonic())

    def pause(self, trouble: Passing, attempt: int) -> None:
        """Wait after a failed request; raises when there is no sense in waiting on."""
        now = time.monotonic()
        self._troubled_at = self._troubled_at or now
        left = self._troubled_at + self._patience_seconds - now
        wait = trouble.wait_seconds
        if wait is not None:
            if wait > left:
                raise DownloadRefused("busy", str(trouble), wait_seconds=wait)
            self._quiet_until = max(self._quiet_until, now + wait)
        elif left <= 0:
            seconds = round(self._patience_seconds)
            raise DownloadRefused("away", f"No byte came for {seconds} s: {trouble}.")
        elif attempt:
            pause = min(0.25 * 2**attempt, LONGEST_PAUSE_SECONDS)
            self._sleep(min(pause, max(left, 0.1)))

    def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            self.over.wait(seconds)


def started(name: str, work: Callable[[], None], queue: Queue) -> threading.Thread:
    """A thread whose failure ends the download."""

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  (raised again by the caller's thread)
            queue.fail(error)

    thread = threading.Thread(target=run, name=f"download-{name}")
    thread.start()
    return thread
