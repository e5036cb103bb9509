"""A value that is costly to read, kept by this process for a moment.

For figures that many look at and that may be seconds old; never for what decides
something.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

LONGEST_SECONDS = 15.0
# What takes 3 ms is read again after 0.3 s, what takes 150 ms after 15 s.
TIMES_AS_LONG = 100


class Kept(Generic[T]):
    """Reads at most one hundredth of the time; who asks meanwhile waits for it.

    A value is kept for `at_least` seconds, however quickly it came.
    """

    def __init__(
        self,
        read: Callable[[], T],
        clock: Callable[[], float] = time.monotonic,
        *,
        at_least: float = 0,
    ) -> None:
        self._read = read
        self._clock = clock
        self._at_least = at_least
        self._lock = threading.Lock()
        self._value: tuple[T] | None = None
        self._until = 0.0

    def get(self) -> T:
        with self._lock:
            began = self._clock()
            if self._value is None or began >= self._until:
                self._value = (self._read(),)
                ended = self._clock()
                lasts = min(LONGEST_SECONDS, TIMES_AS_LONG * (ended - began))
                self._until = ended + max(self._at_least, lasts)
            return self._value[0]
