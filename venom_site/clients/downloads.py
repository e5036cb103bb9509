"""Files of a model from the network into a folder, surely: the only downloader.

    Download(folder, files, headers=hub.headers()).run(tell=…, check=…)

`folder` is the partial folder. When `run` returns every file lies whole, proved by its
digest and durable in it, and nothing else of ours; the caller gives the folder its
name. Until then the half files and what is known of them lie in `.venom-download`
there, and another `run` goes on with them after any death. No Django, no models.

    caller's thread: check, tell    fetching threads: take a piece, ask, write, record
    keeper: sync and seal, 2 s      proving threads: hash behind the front, put in place
"""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from venom_site.clients.downloads_fetch import Fetcher
from venom_site.clients.downloads_journal import Noted, half_files
from venom_site.clients.downloads_part import Part
from venom_site.clients.downloads_pieces import RemoteFile
from venom_site.clients.downloads_places import (
    STATE,
    Lock,
    refuse_unsafe,
    refuse_without_room,
)
from venom_site.clients.downloads_proof import DoneList, Prover
from venom_site.clients.downloads_queue import PATIENCE_SECONDS, Queue, started
from venom_site.clients.downloads_refused import DownloadRefused, of_disk
from venom_site.clients.downloads_spans import total

__all__ = ["Download", "DownloadRefused", "RemoteFile", "discard", "partial_bytes"]

CHECK_SECONDS = 0.15
SYNC_SECONDS = 2
Tell = Callable[[str, int, int], None]


def _quiet(*_: object) -> None:
    pass


class Download:
    """One download into one folder; `run` may be called again after it has raised."""

    def __init__(
        self,
        folder: Path,
        files: Sequence[RemoteFile],
        *,
        headers: Mapping[str, str],
        connections: int = 4,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._folder, self._files, self._headers = folder, tuple(files), dict(headers)
        self._connections, self._patience_seconds = connections, patience_seconds
        self._state = folder / STATE

    def run(
        self,
        *,
        tell: Tell,
        check: Callable[[], None],
        verifying: Tell = _quiet,
        say: Callable[[str], None] = _quiet,
    ) -> None:
        """Bring all files. Raises `DownloadRefused`; bytes that came are kept.

        All four are called in this thread. `tell(path, done, total)` for each file
        that changed, `done` falls back to 0 when it begins anew, `total` is 0 while
        nobody knows it. `verifying(path, read, total)` instead, when all bytes of a
        file are there and it is only read again: after a restart, or behind a fast
        network. `say` gets sentences for a log. `check` is called six times a second;
        when it raises, everything ends within a second or two, and that is raised.
        """
        refuse_unsafe(self._folder, [file.path for file in self._files])
        check()
        with Lock(self._state):
            self._run(tell, check, verifying, say)
            # The lock goes with it: whoever waits for it looks again.
            with _disk(self._folder):
                _remove(self._state)

    def _run(
        self,
        tell: Tell,
        check: Callable[[], None],
        verifying: Tell,
        say: Callable[[str], None],
    ) -> None:
        done = DoneList(self._state)
        with _disk(self._folder):
            parts, proved = self._parts(done)
            refuse_without_room(self._folder, sum(_still_to_reserve(p) for p in parts))
        for path, size in proved:
            tell(path, size, size)
        for part in parts:
            with _disk(self._folder):
                part.reserve_ahead()
            check()
        crew = _Crew(Queue(parts, self._patience_seconds), done)
        news = _News(crew.queue, tell, verifying, say)
        try:
            crew.start(self._connections, self._headers)
            while not crew.queue.over.wait(CHECK_SECONDS):
                check()
                news.pass_on()
        finally:
            crew.end()
        news.pass_on()
        with _disk(self._folder):
            if crew.queue.failure is not None:
                raise crew.queue.failure
            _sync_folders(self._folder, [part.target for part in parts])

    def _parts(self, done: DoneList) -> tuple[list[Part], list[tuple[str, int]]]:
        """What is to be fetched or read again, and what is proved, with its size."""
        looks = done.load()
        parts, proved = [], []
        for file in self._files:
            target = self._folder / file.path
            if done.is_proved(file, target, looks):
                proved.append((file.path, target.lstat().st_size))
                continue
            part = Part(file, self._state, target)
            _adopt(part)
            parts.append(part)
        _drop_strangers(self._folder, looks, parts, {f.path for f in self._files})
        return parts, proved


class _Crew:
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


class _News:
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


def _adopt(part: Part) -> None:
    """A file in its place that nobody vouches for: all there, to be proved."""
    with suppress(FileNotFoundError):
        size = part.target.lstat().st_size
        if size == (size if part.size is None else part.size):
            part.journal.forget()
            part.journal.note(
                Noted(
                    path=part.remote.path,
                    digest=part.remote.digest,
                    size=size,
                    tag="",
                    written=((0, size),),
                )
            )
            part.target.replace(part.path)


def _drop_strangers(
    folder: Path, proved: Mapping[str, object], parts: Sequence[Part], wanted: set[str]
) -> None:
    """What an earlier download into this folder brought and this one does not want."""
    keys = {part.path.stem for part in parts}
    for path in (folder / STATE).iterdir():
        if path.suffix in (".part", ".journal", ".sealed") and path.stem not in keys:
            path.unlink()
    for name in set(proved) - wanted:
        refuse_unsafe(folder, [name])
        (folder / name).unlink(missing_ok=True)


def _still_to_reserve(part: Part) -> int:
    taken = 0
    with suppress(FileNotFoundError):
        taken = part.path.lstat().st_blocks * 512
    return max(0, (part.size or 0) - taken)


def _sync_folders(folder: Path, files: Sequence[Path]) -> None:
    """Make the names durable too, up to the folder itself."""
    places = {folder}
    for file in files:
        places |= {above for above in file.parents if folder in above.parents}
    for place in places:
        fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _remove(state: Path) -> None:
    for path in state.iterdir():
        if path.name != "lock":
            path.unlink()
    (state / "lock").unlink()
    with suppress(OSError):  # somebody else has just come for the lock
        state.rmdir()


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise of_disk(error, str(folder)) from error


def partial_bytes(folder: Path) -> int:
    """How many bytes of a download lie in its folder, half files included; 0 without
    a folder. May be asked while it runs."""
    state = folder / STATE
    whole = sum(
        size for path, size in _plain_files(folder) if state not in path.parents
    )
    return whole + sum(total(noted.written) for noted in half_files(state))


def discard(folder: Path) -> int:
    """Delete the partial folder; returns what `partial_bytes` was.

    Raises `DownloadRefused` (busy) while a process downloads into it.
    """
    if not folder.is_dir():
        return 0
    with Lock(folder / STATE), _disk(folder):
        count = partial_bytes(folder)
        shutil.rmtree(folder)
    return count


def _plain_files(folder: Path) -> list[tuple[Path, int]]:
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            with suppress(OSError):
                seen = path.lstat()
                if stat.S_ISREG(seen.st_mode):
                    found.append((path, seen.st_size))
    return found
