"""The bytes of one half file on the disk: reserved, laid down, synced, put in place.

What is fetched by whom is `downloads_part.py`'s. Bytes that are written are never
written again, so what the proof has read is what lies there.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from venom_site.clients.downloads_journal import Journal, Noted
from venom_site.clients.downloads_pieces import RemoteFile
from venom_site.clients.downloads_places import reserve
from venom_site.clients.downloads_refused import of_disk
from venom_site.clients.downloads_spans import Spans, clipped

SMALL_BYTES = 8 * 1024 * 1024  # up to here proved by who fetched it
TINY_BYTES = 512 * 1024  # below this a file is fetched whole or not at all
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class HalfFile:
    """A file between its promise and its place; its changes are made under the lock
    of the download, but for bytes at places that nobody else writes."""

    def __init__(self, remote: RemoteFile, state: Path, target: Path) -> None:
        key = hashlib.sha256(remote.path.encode()).hexdigest()[:24]
        self.remote, self.target = remote, target
        self.path = state / f"{key}.part"
        self.journal = Journal(state, key)
        self.size = remote.size_bytes
        self.written: Spans = ()
        self.tag = ""
        self.generation = 0  # of the bytes: those of an earlier one are void
        self.is_open = False
        self.is_followed = False  # a thread of its own proves it
        self.fd = -1
        self.disk = Lock()  # closing waits for a sync, and the other way round
        self.synced: Spans = ()

    def open(self) -> None:
        """Open or create its bytes, as far as the journal vouches for them."""
        try:
            self.fd = os.open(self.path, _FLAGS, 0o644)
            noted, lying = self.journal.load(), os.fstat(self.fd).st_size
            remote = self.remote
            if noted and noted.is_of(remote.path, remote.digest, self.size):
                self.size = noted.size if self.size is None else self.size
                self.tag = noted.tag
                self.written = clipped(noted.written, lying)
            self._reserve()
        except OSError as error:
            raise of_disk(error, self.remote.path) from error
        self.is_followed = self.size is None or self.size > SMALL_BYTES
        self.is_open = True

    def reserve_ahead(self) -> None:
        """Take its room before any file is begun, and let go of it again."""
        if self.size and self.size > SMALL_BYTES:
            fd = os.open(self.path, _FLAGS, 0o644)
            try:
                reserve(fd, self.size)
            finally:
                os.close(fd)

    def _reserve(self) -> None:
        """Take the room now, so that a full disk is found before the first byte."""
        if self.size is None:
            return
        if self.size:
            reserve(self.fd, self.size)
        os.ftruncate(self.fd, self.size)

    def sync(self) -> None:
        """Bytes first, then the word for them; by the keeper, every few seconds."""
        with self.disk:
            generation, written = self.generation, self.written
            if self.fd < 0 or written == self.synced:
                return
            os.fdatasync(self.fd)
            if self.generation == generation:
                self.journal.seal(self._noted(written))
                self.synced = written

    def put_in_place(self) -> None:
        """The proved file where it belongs, its bytes durable. Not under the lock."""
        with self.disk:
            os.ftruncate(self.fd, self.size or 0)
            os.fdatasync(self.fd)
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self.path.replace(self.target)
            self._close()
        self.journal.forget()

    def leave(self) -> None:
        """Let go of the files; what came is noted for the next time."""
        if self.fd >= 0:
            with self.disk, suppress(OSError):
                self._note()
                self._close()
        self.journal.close()

    def _close(self) -> None:
        os.close(self.fd)
        self.fd = -1

    def _note(self) -> None:
        if self.written and self.size != 0 and (self.size or TINY_BYTES) >= TINY_BYTES:
            self.journal.note(self._noted(self.written))

    def _noted(self, written: Spans) -> Noted:
        remote = self.remote
        return Noted(
            path=remote.path,
            digest=remote.digest,
            size=self.size,
            tag=self.tag,
            written=written,
        )

    def lay_down(self, view: memoryview, offset: int) -> None:
        """At a place that only this thread has claimed."""
        try:
            while view:
                count = os.pwrite(self.fd, view, offset)
                view, offset = view[count:], offset + count
        except OSError as error:
            raise of_disk(error, self.remote.path) from error

    def hasher(self) -> Any:
        """What proves it; None where nothing is promised but the size."""
        if self.remote.sha256:
            return hashlib.sha256()
        if not self.remote.git_sha1:
            return None
        hasher = hashlib.sha1(usedforsecurity=False)
        hasher.update(f"blob {self.size}\0".encode())
        return hasher

    def is_proved_by(self, found: str) -> bool:
        return found == (self.remote.sha256 or self.remote.git_sha1)
