"""The arithmetic of a download in parts: how far, how fast, how long.

Pure, with a clock of its own. A source tells the bytes of one part after the other,
starting above zero for what an earlier fetch has left, and says nothing of parts so
small that they came between two of its ticks.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

SPEED_SECONDS = 10.0
SAMPLE_SECONDS = 0.25  # closer ones are added up, so that a mean has 40 of them
LEAST_SPAN_SECONDS = 1.0
MOST_BEFORE_THE_END = 99.0


class Transfer:
    """`total` is what the source promised; None where it could not be asked.

    `before` are the bytes that an earlier claim had.
    """

    def __init__(
        self,
        total: int | None = None,
        *,
        before: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._promised = total
        self._clock = clock
        self._done: dict[str, int] = {}
        self._size: dict[str, int] = {}
        self._met: set[str] = set()  # parts heard of since `begin`
        self._samples: deque[tuple[float, int]] = deque()
        self._before = before
        self._looked_back = False
        self.moved_at = clock()  # when the last byte came
        self.begin()

    def begin(self) -> None:
        """A fetch starts, or starts again: what is there already is no speed."""
        self._before = max(self._before, self.done)
        self._met.clear()
        self._looked_back = False
        self._samples.clear()
        self._samples.append((self._clock(), 0))

    def saw(self, part: str, done: int, size: int) -> int:
        """News of one part; the answer is how many bytes of earlier fetches are lost.

        Parts come in order and each that is there already is named at once, so the
        first half part tells what was kept.
        """
        done, size = max(0, done), max(0, size, done)
        moved = done - self._done.get(part, 0) if part in self._met else 0
        self._met.add(part)
        self._done[part], self._size[part] = done, size
        if moved > 0:
            self._sample(moved)
        return self._lost() if done < size else 0

    def _lost(self) -> int:
        if self._looked_back:
            return 0
        self._looked_back = True
        for part in self._done.keys() - self._met:
            del self._done[part], self._size[part]
        return max(0, self._before - self.done)

    def _sample(self, moved: int) -> None:
        now = self._clock()
        self.moved_at = now
        last, so_far = self._samples[-1]
        if now - last < SAMPLE_SECONDS and len(self._samples) > 1:
            self._samples[-1] = (last, so_far + moved)
        else:
            self._samples.append((now, moved))
        while len(self._samples) > 2 and now - self._samples[1][0] > SPEED_SECONDS:
            self._samples.popleft()

    def complete(self) -> None:
        """Everything is there, also the parts that nobody spoke of."""
        self._size = {"": self.total or 0}
        self._done = dict(self._size)

    @property
    def total(self) -> int | None:
        """What was promised; more, or all there is to know, from what was seen."""
        seen = sum(self._size.values())
        if self._promised is None:
            return seen or None
        return max(self._promised, seen)

    @property
    def done(self) -> int:
        """Never above the total."""
        return sum(self._done.values())

    @property
    def percent(self) -> float:
        """At most 99: it is not finished before it is registered."""
        total = self.total
        return min(MOST_BEFORE_THE_END, 100 * self.done / total) if total else 0.0

    @property
    def speed_bps(self) -> float | None:
        """Bytes a second over the last ten seconds; None until there is a second."""
        now = self._clock()
        began = max(self._samples[0][0], now - SPEED_SECONDS)
        if now - began < LEAST_SPAN_SECONDS:
            return None
        return sum(moved for at, moved in self._samples if at >= began) / (now - began)
