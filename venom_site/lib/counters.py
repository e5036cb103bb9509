"""Counting in windows: the only door for rate limits.

In memory with one process, in Redis with several (`REDIS_URL`). A Redis that is away
counts in memory meanwhile: a limit that is too generous beats a door that is shut.
"""

from __future__ import annotations

import logging
import threading
import time

from django.conf import settings

from venom_site.lib.redis_server import RedisAway, redis_server

logger = logging.getLogger(__name__)

_lock = threading.Lock()
_counts: dict[str, tuple[int, float]] = {}
_MOST_KEYS = 10_000
_REDIS_SECONDS = 0.5


def hit(key: str, *, window_seconds: int) -> tuple[int, int]:
    """Count one more for `key`: the count inside the present window, seconds left."""
    if settings.REDIS_URL:
        try:
            return _hit_in_redis(key, window_seconds)
        except RedisAway as error:
            logger.warning("counters in memory, Redis does not answer %s", error)
    return _hit_in_memory(key, window_seconds)


def reset(key: str) -> None:
    """Begin again at 0."""
    with _lock:
        _counts.pop(key, None)
    if settings.REDIS_URL:
        try:
            with redis_server(seconds=_REDIS_SECONDS) as server:
                server.delete(_name(key))
        except RedisAway as error:
            logger.warning("counter not reset, Redis does not answer %s", error)


def _hit_in_memory(key: str, window_seconds: int) -> tuple[int, int]:
    now = time.monotonic()
    with _lock:
        count, ends = _counts.get(key, (0, 0.0))
        if now >= ends:
            count, ends = 0, now + window_seconds
        _counts[key] = (count + 1, ends)
        if len(_counts) > _MOST_KEYS:
            _forget(now)
    return count + 1, max(1, round(ends - now))


def _forget(now: float) -> None:
    """Drop the windows that have ended and, of too many others, the oldest."""
    for key in [key for key, (_, ends) in _counts.items() if ends <= now]:
        del _counts[key]
    for key in list(_counts)[: max(0, len(_counts) - _MOST_KEYS)]:
        del _counts[key]


def _name(key: str) -> str:
    return f"{settings.REDIS_PREFIX}:count:{key}"


def _hit_in_redis(key: str, window_seconds: int) -> tuple[int, int]:
    name = _name(key)
    with redis_server(seconds=_REDIS_SECONDS) as server, server.pipeline() as steps:
        steps.set(name, 0, ex=window_seconds, nx=True)
        steps.incr(name)
        steps.ttl(name)
        _made, count, left = steps.execute()
    return int(count), max(1, int(left))
