"""The threads of one download, and what its caller is told of their work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from venom_site.clients.downloads_fetch import Fetcher
from venom_site.clients.downloads_part import Part
from venom_site.clients.downloads_proof import DoneList, Prover
from venom_site.clients.downloads_queue import Queue, started

SYNC_SECONDS = 2
Tell = Callable[[str, int, int], None]


class Crew:
    """The threads of one run; when `end` returns none is left, but one that looks up a
    name may be: it cannot be ended, touches nothing and ends by itself."""

    def __init__(self, queue: Queue, done: DoneList) -> None:
        self.queue = queue
        self._prover = Prover(queue, done)
        self._fetchers: list[Fetcher] = []
        self._threads: list[threading.Thread] = []
        self._guard = threading.Lock()

    def start(self, connections: int, headers: Mapping[str, str]) -> None:
        self._begin("keeper", self._keep)
        for number in range(1, connections + 1):
            fetcher = Fetcher(self.queue, headers, self._opened, self._prover.prove)
            self._fetchers.append(fetcher)
            self._begin(f"{number}", fetcher.work)

    def end(self) -> None:
        self.queue.end()
        for fetcher in self._fetchers:
            fetcher.wire.abort()
        while self._threads:
            with self._guard:
                thread = self._threads.pop()
            thread.join()
        for part in self.queue.open:
            part.leave()

    def _begin(self, name: str, work: Callable[[], None]) -> None:
        with self._guard:
            self._threads.append(started(name, work, self.queue))

    def _opened(self, part: Part) -> None:
        if part.is_followed:
            self._begin("proof", lambda: self._prover.follow(part))

    def _keep(self) -> None:
        """Sync and seal what has come, so that a power loss costs seconds."""
        while not self.queue.over.wait(SYNC_SECONDS):
            self.queue.record_all()
            for part in list(self.queue.open):
                part.sync()


class News:
    """What the caller is told, each thing once; only its own thread comes here."""

    def __init__(
        self, queue: Queue, tell: Tell, verifying: Tell, say: Callable[[str], None]
    ) -> None:
        self._queue = queue
        self._tell, self._verifying, self._say = tell, verifying, say
        self._told: dict[str, tuple[int, int]] = {}

    def pass_on(self) -> None:
        while self._queue.words:
            self._say(self._queue.words.popleft())
        while self._queue.finished:
            self._of(self._queue.finished.popleft())
        for part in list(self._queue.open):
            self._of(part)

    def _of(self, part: Part) -> None:
        path, size = part.remote.path, part.size or 0
        news = part.done_bytes, size
        if news != self._told.get(path) and (news[0] or path in self._told):
            self._told[path] = news
            self._tell(path, *news)
        elif part.is_written and part.hashed < size and part.is_followed:
            self._verifying(path, part.hashed, size)
