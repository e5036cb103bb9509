"""Series of values as paths of SVG: pure arithmetic, no words and no colours.

None is a gap: nothing is ever drawn over a time without a value. Used by the small
lines of cards and the charts of a runtime.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

Value = float | None
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where is drawn; `room` is left above and below for half of the line's width."""

    width: int
    height: int
    room: float = 2

    def y(self, share: float) -> float:
        """The height of a share of the top value."""
        return round(self.height - self.room - share * (self.height - 2 * self.room), 1)

    def runs(self, values: Sequence[Value], top: float) -> list[list[Point]]:
        """The points of each stretch without a gap; `top` is the highest value."""
        step = self.width / max(1, len(values) - 1)
        points = [
            None if value is None else (round(place * step, 1), self.y(value / top))
            for place, value in enumerate(values)
        ]
        stretches = groupby(points, key=lambda point: point is not None)
        return [[p for p in run if p is not None] for drawn, run in stretches if drawn]

    def line(self, runs: Sequence[Sequence[Point]]) -> str:
        return " ".join(map(_line, runs))

    def area(self, runs: Sequence[Sequence[Point]]) -> str:
        """What lies under the line, down to the bottom."""
        return " ".join(self._area(run) for run in runs)

    def level(self, share: float) -> str:
        """A straight line across."""
        return f"M0,{self.y(share):g}H{self.width}"

    def _area(self, run: Sequence[Point]) -> str:
        first, last = run[0][0], run[-1][0]
        return f"M{first:g},{self.height}L{_joined(run)}L{last:g},{self.height}Z"


def _line(run: Sequence[Point]) -> str:
    """One point alone becomes a dot: a line of no length with round ends."""
    path = _joined(run)
    return f"M{path}h0" if len(run) == 1 else f"M{path}"


def _joined(run: Sequence[Point]) -> str:
    return "L".join(f"{x:g},{y:g}" for x, y in run)
