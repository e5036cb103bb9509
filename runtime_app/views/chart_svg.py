"""A chart of one figure over time, ready for its template: paths, ticks, words, table.

Pure: series of values in, a `Chart` out. Every chart says the same in a sentence and in
a table, for those who do not see it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from venom_site.lib.svg_paths import Frame, Value

FRAME = Frame(600, 140)
TABLE_ROWS = 12
TICKS = 4  # parts of the time axis
TONES = ("a", "b", "c", "d")  # classes of ui.css: colour and dashes

Take = Callable[[Sequence[float]], float]
Words = Callable[[Value], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of time in equal steps, up to now."""

    begin: datetime
    step: timedelta
    count: int

    @classmethod
    def up_to(cls, now: datetime, *, span: timedelta, step: timedelta) -> Window:
        """Ends with the step that `now` lies in, so that steps do not move."""
        seconds = step.total_seconds()
        end = (math.floor(now.timestamp() / seconds) + 1) * seconds
        count = round(span / step)
        begin = datetime.fromtimestamp(end, now.tzinfo) - count * step
        return cls(begin=begin, step=step, count=count)

    def spread(
        self, points: Iterable[tuple[datetime, Value]], take: Take
    ) -> list[Value]:
        """One value a step; None where nothing was measured."""
        found: list[list[float]] = [[] for _ in range(self.count)]
        for moment, value in points:
            place = (moment - self.begin) // self.step
            if value is not None and 0 <= place < self.count:
                found[place].append(value)
        return [take(values) if values else None for values in found]

    def times(self, parts: int) -> list[datetime]:
        """Evenly, the beginning and the end too."""
        whole = self.step * self.count
        return [self.begin + whole * part / parts for part in range(parts + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """`values` has one for each step of the window."""

    label: str
    values: list[Value]
    take: Take = max


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnLine:
    label: str
    tone: str
    line: str
    area: str
    latest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    at: datetime
    texts: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """`levels` are the words of the value axis from the top; `mark` a path across, and
    `mark_words` what it means. Without lines nothing was measured."""

    ident: str
    title: str
    summary: str = ""
    lines: list[DrawnLine] = field(default_factory=list)
    levels: list[str] = field(default_factory=list)
    grid: str = ""
    mark: str = ""
    mark_words: str = ""
    times: list[datetime] = field(default_factory=list)
    table: list[TableRow] = field(default_factory=list)
    width: int = FRAME.width
    height: int = FRAME.height


def draw(
    ident: str,
    title: str,
    window: Window,
    series: Sequence[Series],
    words: Words,
    *,
    unit: float = 1.0,
    top: float | None = None,
    mark: float | None = None,
    mark_words: str = "",
) -> Chart:
    """`top` is the end of the value axis; left out, the next round number of `unit`
    above the largest value. `mark` is a value to draw a line at."""
    known = [s for s in series if any(value is not None for value in s.values)]
    if not known:
        return Chart(ident=ident, title=title)
    largest = max(value for s in known for value in s.values if value is not None)
    end = max(top or 0.0, largest) if top else round_up(largest / unit) * unit
    return Chart(
        ident=ident,
        title=title,
        summary=" ".join(_sentence(title, s, words) for s in known),
        lines=[_drawn(s, TONES[n % 4], end, words) for n, s in enumerate(known)],
        levels=[words(end), words(end / 2), words(0)],
        grid=" ".join(FRAME.level(share) for share in (0, 0.5, 1)),
        mark=FRAME.level(mark / end) if mark is not None else "",
        mark_words=mark_words,
        times=window.times(TICKS),
        table=_table(window, known, words),
    )


def round_up(number: float) -> float:
    """The next 1, 2 or 5 with zeros; 1 for nothing."""
    if number <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(number))
    return next(m * power for m in (1, 2, 5, 10) if number <= m * power * 1.000001)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _drawn(series: Series, tone: str, top: float, words: Words) -> DrawnLine:
    runs = FRAME.runs(series.values, top)
    known = [value for value in series.values if value is not None]
    return DrawnLine(
        label=series.label,
        tone=tone,
        line=FRAME.line(runs),
        area=FRAME.area(runs) if tone == TONES[0] else "",
        latest=words(known[-1]),
    )


def _sentence(title: str, series: Series, words: Words) -> str:
    known = [value for value in series.values if value is not None]
    return _("%(title)s, %(line)s: %(low)s to %(high)s, last %(last)s.") % {
        "title": title,
        "line": series.label,
        "low": words(min(known)),
        "high": words(max(known)),
        "last": words(known[-1]),
    }


def _table(window: Window, series: Sequence[Series], words: Words) -> list[TableRow]:
    """A few rows; the newest first."""
    size = math.ceil(window.count / TABLE_ROWS)
    return [
        TableRow(
            at=window.begin + window.step * first,
            texts=[words(_of(s, first, first + size)) for s in series],
        )
        for first in reversed(range(0, window.count, size))
    ]


def _of(series: Series, first: int, end: int) -> Value:
    known = [value for value in series.values[first:end] if value is not None]
    return series.take(known) if known else None
