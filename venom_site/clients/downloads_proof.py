"""Proving files by their digests while they come, and putting them in their place.

What is hashed is read back from the disk behind the bytes that lie there without a
gap: one way for one stream and for several, for now and after a restart. It costs a
copy out of the page cache (1 GB: 0.1 s of CPU) beside a SHA-256 of six times that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from venom_site.clients import downloads_journal
from venom_site.clients.downloads_part import MOST_PROOFS, READ_BYTES, Part
from venom_site.clients.downloads_pieces import RemoteFile
from venom_site.clients.downloads_queue import Queue
from venom_site.clients.downloads_refused import DownloadRefused, of_disk
from venom_site.clients.downloads_spans import front


class Prover:
    def __init__(self, queue: Queue, done: DoneList) -> None:
        self._queue, self._done = queue, done

    def follow(self, part: Part) -> None:
        """Stay with a file until it is proved and in its place, or all is over."""
        while not self._queue.over.is_set() and not self.prove(part):
            pass

    def prove(self, part: Part) -> bool:
        """Whether the file is in its place now; waits for its last byte."""
        found = self._digest(part)
        if found is None:
            return False
        is_proved = not found or part.is_proved_by(found)
        if is_proved:
            self._put_in_place(part)
        else:
            self._refuse_or_begin_anew(part)
        return is_proved

    def _digest(self, part: Part) -> str | None:
        """Of the whole file; "" when nothing is promised, None when the bytes became
        void or all is over."""
        buffer = memoryview(bytearray(READ_BYTES))
        hasher: Any = None
        with self._queue.lock:
            generation, part.hashed = part.generation, 0
        while (until := self._wait_for_more(part, generation)) is not None:
            hasher = hasher or part.hasher()
            if hasher is None:
                part.hashed = until
            while hasher and part.hashed < until and not self._queue.over.is_set():
                count = self._read(part, buffer[: until - part.hashed])
                hasher.update(buffer[:count])
                part.hashed += count
            is_same = part.generation == generation and part.is_whole
            if is_same and part.hashed == part.size:
                return hasher.hexdigest() if hasher else ""
        return None

    def _wait_for_more(self, part: Part, generation: int) -> int | None:
        """How far the bytes reach now, once that is news or the end."""
        with self._queue.lock:
            while not self._queue.over.is_set() and part.generation == generation:
                if part.is_whole:
                    return part.size
                # A git hash begins with the size: without one it waits for the end.
                if part.size is not None and part.is_ahead(READ_BYTES):
                    return front(part.written)
                self._queue.grown.wait()
        return None

    def _read(self, part: Part, view: memoryview) -> int:
        try:
            count = os.preadv(part.fd, [view], part.hashed)
        except OSError as error:
            raise of_disk(error, part.remote.path) from error
        if not count:
            message = f"{part.remote.path} was cut short on the disk by somebody else."
            raise DownloadRefused("digest", message)
        return count

    def _put_in_place(self, part: Part) -> None:
        try:
            part.put_in_place()
            self._done.add(part.remote, part.target)
        except OSError as error:
            raise of_disk(error, part.remote.path) from error
        self._queue.is_done(part)

    def _refuse_or_begin_anew(self, part: Part) -> None:
        part.proofs += 1
        name = part.remote.path
        if part.proofs >= MOST_PROOFS:
            raise DownloadRefused(
                "digest",
                f"The bytes of {name} that came are not those promised, twice.",
            )
        self._queue.say(f"Wrong bytes came for {name}: it is fetched once again.")
        with self._queue.lock:
            part.begin_anew()
            self._queue.wake()


class DoneList:
    """Which files were proved, and how they looked then: one line each, appended.

    A file that still looks so in the same run of the machine is not read again; any
    other is. A torn last line is one file more to read.
    """

    def __init__(self, state: Path) -> None:
        self._path = state / "done"

    def add(self, remote: RemoteFile, target: Path) -> None:
        line = json.dumps(_looks(remote.path, remote.digest, target)) + "\n"
        with self._path.open("ab", buffering=0) as file:
            file.write(line.encode())

    def load(self) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        with suppress(OSError):
            for line in self._path.read_bytes().splitlines():
                with suppress(ValueError, KeyError, TypeError):
                    fields = json.loads(line)
                    found[fields["path"]] = fields
        return found

    @staticmethod
    def is_proved(
        remote: RemoteFile, target: Path, done: Mapping[str, Mapping[str, Any]]
    ) -> bool:
        fields = done.get(remote.path)
        with suppress(OSError):
            looks = _looks(remote.path, remote.digest, target)
            return bool(downloads_journal.boot_id()) and fields == looks
        return False


def _looks(path: str, digest: str, target: Path) -> dict[str, Any]:
    seen = target.lstat()
    return {
        "path": path,
        "digest": digest,
        "size": seen.st_size,
        "changed": seen.st_ctime_ns,
        "inode": seen.st_ino,
        "boot": downloads_journal.boot_id(),
    }
