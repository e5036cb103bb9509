"""Files that tell whether who made them still lives: by a lock, which ends with it.

However a process ends, the kernel gives its locks back; no pid that another process
may have by now, and the same in containers, whose pids begin anew with each start.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import IO


def create(path: Path) -> FileIO:
    """A new file of this process, to append to; the lock lasts until it is closed."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    # Readers look for the name: they see the file when it is locked, not before.
    hidden = path.with_name(f".{path.name}.new")
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
    file = FileIO(os.open(hidden, flags, 0o600), "ab")
    fcntl.flock(file, fcntl.LOCK_EX)
    hidden.rename(path)
    return file


@contextmanager
def taken_over(path: Path) -> Iterator[IO[bytes] | None]:
    """The file of a process that has ended, locked against others who read; None while
    its owner lives or another reader has it or has finished it."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield None
        return
    with file:
        yield file if _is_ours(file) else None


def _is_ours(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(file.fileno()).st_nlink > 0
