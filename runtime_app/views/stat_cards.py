"""The four figures on top of the overview, each with its day before and its hours.

Read by four bounded queries: of a million rows in thirty days none takes longer than
the first load of the page may. Kept by the process for some seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.utils import timezone
from django.utils.translation import gettext as _

from history_app import stats
from history_app.models import RequestRecord
from history_app.stats import Trend
from venom_site.lib import units
from venom_site.lib.kept import Kept

# Rows looked at for the first token, of each day: they carry it, no index does.
MOST_TIMINGS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    requests: Trend
    errors: Trend
    first_token: Trend
    spend: Trend
    has_cloud: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StatCard:
    """`aside` stands beside the figure, `note` below it; `summary` says the line."""

    label: str
    value: str
    aside: str = ""
    note: str = ""
    hours: list[float | None]
    summary: str = ""


def read_figures() -> Figures:
    days, rows = stats.TwoDays.up_to(timezone.now()), RequestRecord.objects
    tallies, costs = rows.tallies(days.since), rows.costs(days.since)
    today = rows.timings(days.middle, days.until, most=MOST_TIMINGS)
    before = rows.timings(days.since, days.middle, most=MOST_TIMINGS)
    return Figures(
        requests=stats.requests(days, tallies),
        errors=stats.errors(days, tallies),
        first_token=stats.first_token(days, today, before),
        spend=stats.spend(days, costs),
        has_cloud=bool(costs),
    )


figures = Kept(read_figures)


def stat_cards() -> list[StatCard]:
    """In the language of the one who looks."""
    now = figures.get()
    return [
        _requests(now.requests),
        _errors(now.errors),
        _first_token(now.first_token),
        _spend(now.spend, has_cloud=now.has_cloud),
    ]


def _requests(trend: Trend) -> StatCard:
    label = _("Requests, 24 h")
    note = _("None in two days.") if trend.now is None else _compared(trend, _count)
    return _card(label, trend, _count, aside=_change(trend), note=note)


def _errors(trend: Trend) -> StatCard:
    of_all = _("%(part)s of %(whole)s") % {
        "part": units.count_text(trend.part),
        "whole": units.count_text(trend.whole),
    }
    aside = of_all if trend.whole else ""
    note = _compared(trend, units.percent_text)
    return _card(_("Errors, 24 h"), trend, units.percent_text, aside=aside, note=note)


def _first_token(trend: Trend) -> StatCard:
    """Of a day with more requests than are looked at, the newest only; it says so."""
    aside = ""
    if trend.part >= MOST_TIMINGS:
        newest = units.count_text(MOST_TIMINGS)
        aside = _("newest %(number)s requests") % {"number": newest}
    label, note = _("First token p95, 24 h"), _compared(trend, units.duration_text)
    if trend.now is None:
        note = _("No answer was streamed.")
    return _card(label, trend, units.duration_text, aside=aside, note=note)


def _spend(trend: Trend, *, has_cloud: bool) -> StatCard:
    note = _compared(trend, units.dollars_text)
    if not has_cloud:
        note = _("Nothing leaves this machine.")
    elif trend.now is None:
        note = _("No price is known.")
    return _card(_("Cloud spend, 24 h"), trend, units.dollars_text, note=note)


def _card(
    label: str,
    trend: Trend,
    words: Callable[[float | None], str],
    *,
    aside: str = "",
    note: str,
) -> StatCard:
    return StatCard(
        label=label,
        value=words(trend.now),
        aside=aside,
        note=note,
        hours=trend.hours if trend.now is not None else [],
        summary=_summary(label, trend, words),
    )


def _compared(trend: Trend, words: Callable[[float | None], str]) -> str:
    if trend.before is None:
        return _("nothing to compare with")
    return _("%(figure)s the day before") % {"figure": words(trend.before)}


def _change(trend: Trend) -> str:
    if trend.change is None:
        return ""
    percent = round(trend.change * 100)
    return f"{'+' if percent > 0 else '−' if percent < 0 else '±'}{abs(percent)} %"


def _summary(label: str, trend: Trend, words: Callable[[float | None], str]) -> str:
    """The line in a sentence, for those who do not see it."""
    known = [value for value in trend.hours if value is not None]
    if not known:
        return ""
    return _("%(label)s, by hour: %(low)s to %(high)s, last %(last)s.") % {
        "label": label,
        "low": words(min(known)),
        "high": words(max(known)),
        "last": words(known[-1]),
    }


def _count(number: float | None) -> str:
    return units.count_text(None if number is None else round(number))
