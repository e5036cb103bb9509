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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from venom_site.clients.downloads_crew import Crew, News, Tell
from venom_site.clients.downloads_journal import Noted, half_files
from venom_site.clients.downloads_part import Part
from venom_site.clients.downloads_pieces import RemoteFile
from venom_site.clients.downloads_places import (
    STATE,
    Lock,
    refuse_unsafe,
    refuse_without_room,
)
from venom_site.clients.downloads_proof import DoneList
from venom_site.clients.downloads_queue import PATIENCE_SECONDS, Queue
from venom_site.clients.downloads_refused import DownloadRefused, of_disk
from venom_site.clients.downloads_spans import total

__all__ = ["Download", "DownloadRefused", "RemoteFile", "discard", "partial_bytes"]

CHECK_SECONDS = 0.15


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
        crew = Crew(Queue(parts, self._patience_seconds), done)
        news = News(crew.queue, tell, verifying, say)
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
