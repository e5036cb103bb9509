"""What is to be fetched: a file as it was promised, and a piece of it in work."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as its source promises it; `size_bytes` None where it does not say."""

    path: str
    url: str
    size_bytes: int | None
    sha256: str = ""
    git_sha1: str = ""

    @property
    def digest(self) -> str:
        if self.sha256:
            return f"sha256:{self.sha256}"
        return f"git:{self.git_sha1}" if self.git_sha1 else ""


@dataclass(slots=True, eq=False)
class Piece:
    """What one thread fetches now; `end` None is until the answer ends."""

    start: int
    end: int | None
    position: int
    noted: int = 0
    # How far bytes were laid down that had not been there; written by the fetching
    # thread alone, compared with what was recorded by whoever holds the lock.
    grown_to: int = 0
    recorded_to: int = 0
    noted_at: float = field(default_factory=time.monotonic)
