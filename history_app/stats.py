"""Figures of the last 24 hours beside those of the 24 hours before: pure arithmetic.

Rows come counted from `RequestRecordQuerySet`, words are the pages'. A figure of
nothing is None, never zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from history_app.choices import OPEN_STATUSES, RequestStatus

HOURS = 24
HOUR = timedelta(hours=1)
# Rows are counted by ten minutes, so that a day may begin at any of them.
MARK = timedelta(minutes=10)
ERRORS = frozenset({RequestStatus.FAILED, RequestStatus.LOST})

Tally = tuple[str, str, int]  # status, ten minutes as `2026-11-21 12:4`, how many
Timing = tuple[datetime, float | None]  # when it came in, seconds to the first token


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A figure now and a day earlier, and hour by hour, oldest first.

    `part` of `whole` says what the figure was made from.
    """

    now: float | None
    before: float | None
    hours: list[float | None]
    part: int = 0
    whole: int = 0

    @property
    def change(self) -> float | None:
        """By which share of the day before it grew; None without such a day."""
        if self.now is None or not self.before:
            return None
        return self.now / self.before - 1


@dataclass(frozen=True, slots=True)
class TwoDays:
    """From `since` to `until`; today begins at `middle`, at most ten minutes late."""

    until: datetime

    @classmethod
    def up_to(cls, now: datetime) -> TwoDays:
        marks = math.floor(now.timestamp() / MARK.total_seconds()) + 1
        return cls(datetime.fromtimestamp(marks * MARK.total_seconds(), UTC))

    @property
    def middle(self) -> datetime:
        return self.until - HOURS * HOUR

    @property
    def since(self) -> datetime:
        return self.until - 2 * HOURS * HOUR

    def hour_of(self, moment: datetime) -> int:
        """0 to 47; a row of a clock that runs ahead counts into the last hour."""
        return max(0, min(2 * HOURS - 1, (moment - self.since) // HOUR))


def requests(days: TwoDays, tallies: Iterable[Tally]) -> Trend:
    """How many came in. Of an installation at rest for two days that is nothing."""
    counts = _by_hour(days, ((stamp, number) for _, stamp, number in tallies))
    if not any(counts):
        return Trend(now=None, before=None, hours=[])
    before, now = counts[:HOURS], counts[HOURS:]
    return Trend(now=sum(now), before=sum(before), hours=list(now))


def errors(days: TwoDays, tallies: Sequence[Tally]) -> Trend:
    """The percentage that failed of those that ended."""
    ended = [tally for tally in tallies if tally[0] not in OPEN_STATUSES]
    wholes = _by_hour(days, ((stamp, number) for _, stamp, number in ended))
    bad = ((stamp, number) for status, stamp, number in ended if status in ERRORS)
    parts = _by_hour(days, bad)
    today = slice(HOURS, None)
    return Trend(
        now=percentage(sum(parts[today]), sum(wholes[today])),
        before=percentage(sum(parts[:HOURS]), sum(wholes[:HOURS])),
        hours=[
            percentage(part, whole)
            for part, whole in zip(parts[today], wholes[today], strict=True)
        ],
        part=int(sum(parts[today])),
        whole=int(sum(wholes[today])),
    )


def first_token(
    days: TwoDays, today: Sequence[Timing], before: Sequence[Timing]
) -> Trend:
    """Seconds within which 95 % of these streams began to answer."""
    by_hour: list[list[float]] = [[] for _ in range(2 * HOURS)]
    for moment, seconds in today:
        if seconds is not None:
            by_hour[days.hour_of(moment)].append(seconds)
    measured = [seconds for _, seconds in today if seconds is not None]
    earlier = [seconds for _, seconds in before if seconds is not None]
    return Trend(
        now=percentile(measured, 95),
        before=percentile(earlier, 95),
        hours=[percentile(values, 95) for values in by_hour[HOURS:]],
        part=len(today),
    )


def spend(days: TwoDays, costs: Iterable[tuple[str, float | None]]) -> Trend:
    """US dollars; None where no price is known."""
    known = [(stamp, cost) for stamp, cost in costs if cost is not None]
    sums = _by_hour(days, known)
    if not known:
        return Trend(now=None, before=None, hours=[])
    before, now = sums[:HOURS], sums[HOURS:]
    return Trend(now=sum(now), before=sum(before), hours=list(now))


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest rank: a value that was really measured. None of nothing."""
    if not values:
        return None
    rank = math.ceil(share / 100 * len(values))
    return sorted(values)[max(0, rank - 1)]


def percentage(part: float, whole: float) -> float | None:
    return 100 * part / whole if whole else None


def _by_hour(days: TwoDays, counted: Iterable[tuple[str, float]]) -> list[float]:
    sums = [0.0] * (2 * HOURS)
    for stamp, number in counted:
        moment = datetime.fromisoformat(f"{stamp}0").replace(tzinfo=UTC)
        sums[days.hour_of(moment)] += float(number)
    return sums
