"""A folder of message files, shared by any number of processes of one machine.

The file broker (`broker.py`) is its only caller. A message appears whole or not at
all and is taken by exactly one reader; a reader must survive whatever else it finds
in the folder: empty files, garbage, and the folder being removed under its feet.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

logger = logging.getLogger(__name__)

# A folder's modification time is trusted only when it is clearly older than our look
# at it: two changes within one tick of the file system's clock share one time.
SETTLED_NS = 2_500_000_000
MESSAGE_LIFETIME_SECONDS = 24 * 3600  # its row is the truth and is swept: no loss
GARBAGE_LIFETIME_SECONDS = 7 * 24 * 3600
_serial = itertools.count()
T = TypeVar("T")


class Mailbox:
    """Messages of all queues in `<folder>/new`; unreadable ones in `<folder>/bad`."""

    def __init__(self, folder: Path, *, on_loss: Callable[[], None]) -> None:
        """`on_loss` is called when the folder was removed and has been made anew."""
        self.born = folder / "born"  # never touched: its time tells one folder apart
        self.new = folder / "new"
        self.unfinished = folder / "tmp"
        self.bad = folder / "bad"
        self._on_loss = on_loss
        self._born_ns: int | None = None
        self._listed_mtime_ns = -1
        self._listing: list[str] = []
        self._given_up: set[str] = set()

    def make_folders(self) -> None:
        """Makes what is missing and throws out what nobody will ever read."""
        for folder in (self.new, self.unfinished, self.bad, self.born):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _prune(self.new, MESSAGE_LIFETIME_SECONDS)
        _prune(self.unfinished, MESSAGE_LIFETIME_SECONDS)
        _prune(self.bad, GARBAGE_LIFETIME_SECONDS)

    def put(self, queue: str, text: str) -> None:
        """Adds a message. A reader sees it complete or not at all."""
        # Wall clock at fixed width: the order of names survives a reboot.
        name = f"{time.time_ns():020d}-{next(_serial):06d}-{uuid.uuid4().hex[:8]}"
        target = self.new / f"{name}{_ending(queue)}"
        try:
            self._write(name, target, text)
        except FileNotFoundError:
            self.make_folders()
            self._write(name, target, text)

    def _write(self, name: str, target: Path, text: str) -> None:
        draft = self.unfinished / name
        draft.write_text(text, encoding="utf-8")
        draft.replace(target)

    def take(self, queue: str, read: Callable[[str], T]) -> T | None:
        """The queue's oldest message as `read` understands it, or None.

        What `read` refuses with a ValueError is moved aside; the next one is tried.
        """
        for name in self.names(queue):
            path = self.new / name
            try:
                message = read(path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                continue  # another reader was faster
            except (ValueError, IsADirectoryError, PermissionError) as refusal:
                self._move_aside(path, refusal)
                continue
            if self._claim(path):
                return message
        return None

    def _claim(self, path: Path) -> bool:
        """Removes the file; of several readers only one succeeds."""
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        return True

    def _move_aside(self, path: Path, refusal: Exception) -> None:
        logger.warning("unreadable message moved aside file=%s: %s", path, refusal)
        try:
            path.replace(self.bad / path.name)
        except FileNotFoundError:
            self.bad.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as failure:
            logger.warning("message stays where it is file=%s: %s", path, failure)
            self._given_up.add(path.name)

    def names(self, queue: str) -> list[str]:
        """Names of the queue's messages, oldest first; remakes a missing folder."""
        ending = _ending(queue)
        return [name for name in self._list() if name.endswith(ending)]

    def _list(self) -> list[str]:
        """All names, sorted. While nothing changes this costs one `stat`."""
        try:
            self._notice_loss()
            seen = self.new.stat()
            if seen.st_mtime_ns == self._listed_mtime_ns:
                return self._listing
            looked_at_ns = time.time_ns()
            with os.scandir(self.new) as entries:
                found = {entry.name for entry in entries}
        except FileNotFoundError:
            self.make_folders()
            return []
        self._listing = sorted(found - self._given_up)
        settled = seen.st_mtime_ns < looked_at_ns - SETTLED_NS
        self._listed_mtime_ns = seen.st_mtime_ns if settled else -1
        return self._listing

    def _notice_loss(self) -> None:
        born_ns = self.born.stat().st_mtime_ns
        if self._born_ns not in (None, born_ns):
            self._on_loss()
        self._born_ns = born_ns

    def remove_all(self, queue: str) -> int:
        """Removes the queue's messages; the number of those that were still there."""
        return sum(self._claim(self.new / name) for name in self.names(queue))


def _ending(queue: str) -> str:
    # A name has no "@" of its own after quoting, so one queue's ending is never
    # the end of another's.
    return f"@{quote(queue, safe='')}.msg"


def _prune(folder: Path, lifetime_seconds: float) -> None:
    for path in folder.iterdir():
        # Taken meanwhile, or not ours to remove: either way it is no concern of ours.
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > lifetime_seconds:
                path.unlink()
