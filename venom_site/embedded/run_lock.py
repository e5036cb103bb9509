"""One `manage.py up` per data folder: the lock file `<data>/run/up.lock`.

`up` holds it for its whole life; `down` and a second `up` read in it whom to address.
The lock is the kernel's, so it never outlives its holder; what is written in the file
does, which tells the next start that the last one was killed. Plain standard library.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

# `down` tests the lock by taking it for a moment; a start must not trip over that.
PATIENCE_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds the lock, or held it last."""

    pid: int
    url: str
    started_at: str


class RunLock:
    """The lock file; `acquire` once, `release` at the end."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "run" / "up.lock"
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Takes the lock; False when another process holds it. May raise OSError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                os.close(descriptor)
                return False
            time.sleep(0.02)
        self._descriptor = descriptor
        return True

    def write(self, holder: Holder) -> None:
        """Notes the holder in the file."""
        text = json.dumps(
            {"pid": holder.pid, "url": holder.url, "started_at": holder.started_at}
        )
        self.path.write_text(text, encoding="utf-8")

    def release(self) -> None:
        """Empties the file, since the end was orderly, and lets go."""
        if self._descriptor is None:
            return
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = None

    def read(self) -> Holder | None:
        """What the file says: the present holder, or one that was killed."""
        try:
            written = json.loads(self.path.read_text(encoding="utf-8"))
            return Holder(
                pid=int(written["pid"]),
                url=str(written["url"]),
                started_at=str(written["started_at"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def is_held(self) -> bool:
        """Whether some process holds the lock now."""
        try:
            descriptor = os.open(self.path, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return not _try_lock(descriptor)
        finally:
            os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
