"""Counting in windows: the only door for rate limits.

In memory with one process, in Redis with several (`REDIS_URL`). A Redis that is away
counts in memory meanwhile: a limit that is too generous beats a door that is shut.
"""

from __future__ import annotations

import threading
import time

_lock = threading.Lock()
_counts: dict[str, tuple[int, float]] = {}
_MOST_KEYS = 10_000


def hit(key: str, *, window_seconds: float) -> int:
    """Count one more for `key`; returns the count inside the present window."""
    now = time.monotonic()
    with _lock:
        count, ends = _counts.get(key, (0, 0.0))
        if now >= ends:
            count, ends = 0, now + window_seconds
        _counts[key] = (count + 1, ends)
        if len(_counts) > _MOST_KEYS:
            _forget_ended(now)
    return count + 1


def reset(key: str) -> None:
    with _lock:
        _counts.pop(key, None)


def _forget_ended(now: float) -> None:
    for key in [key for key, (_, ends) in _counts.items() if ends <= now]:
        del _counts[key]
