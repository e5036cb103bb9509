"""The figures of the last 24 hours, from rows to numbers."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from history_app import stats
from history_app.models import RequestRecord
from history_app.stats import TwoDays
from tests.factories.history import RequestRecordFactory

NOW = datetime(2026, 11, 21, 12, 41, 7, tzinfo=UTC)
DAYS = TwoDays.up_to(NOW)
HOUR = timedelta(hours=1)


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")[:15]


def tally(status: str, ago: timedelta, number: int) -> stats.Tally:
    return status, stamp(NOW - ago), number


def test_a_day_ends_at_the_next_ten_minutes_and_is_a_whole_day():
    assert DAYS.until == datetime(2026, 11, 21, 12, 50, tzinfo=UTC)
    assert DAYS.until - DAYS.middle == DAYS.middle - DAYS.since == timedelta(days=1)
    assert DAYS.hour_of(DAYS.since) == 0
    assert DAYS.hour_of(DAYS.middle) == 24
    assert DAYS.hour_of(NOW) == DAYS.hour_of(NOW + 3 * HOUR) == 47


def test_requests_are_counted_by_the_day_and_by_the_hour():
    tallies = [
        tally("COMPLETED", timedelta(), 3),
        tally("FAILED", 5 * HOUR, 2),
        tally("PROCESSING", timedelta(), 1),
        tally("COMPLETED", 30 * HOUR, 4),
    ]
    trend = stats.requests(DAYS, tallies)
    assert (trend.now, trend.before, trend.change) == (6, 4, 0.5)
    assert len(trend.hours) == 24
    assert (trend.hours[-1], trend.hours[-6], sum(trend.hours)) == (4, 2, 6)


def test_a_day_without_requests_is_zero_and_two_days_are_unknown():
    quiet = stats.requests(DAYS, [tally("COMPLETED", 30 * HOUR, 4)])
    assert (quiet.now, quiet.change) == (0, -1)
    nothing = stats.requests(DAYS, [])
    assert (nothing.now, nothing.change, nothing.hours) == (None, None, [])


def test_errors_are_a_share_of_what_ended():
    tallies = [
        tally("COMPLETED", timedelta(), 6),
        tally("CANCELLED", timedelta(), 1),
        tally("FAILED", timedelta(), 2),
        tally("LOST", timedelta(), 1),
        tally("PROCESSING", timedelta(), 90),
    ]
    trend = stats.errors(DAYS, tallies)
    assert (trend.now, trend.part, trend.whole) == (30, 3, 10)
    assert trend.before is None
    assert trend.hours == [None] * 23 + [30]


def test_the_first_token_is_a_measured_one_and_rows_without_it_count_not():
    today = [(NOW, seconds / 100) for seconds in range(1, 101)] + [(NOW, None)]
    trend = stats.first_token(DAYS, today, [(NOW - 30 * HOUR, 2.5)])
    assert (trend.now, trend.before, trend.part) == (0.95, 2.5, 101)
    assert trend.hours == [None] * 23 + [0.95]


@pytest.mark.parametrize(
    ("values", "share", "is_"),
    [([], 95, None), ([3.0], 95, 3.0), ([4, 1, 3, 2], 50, 2), ([1, 2], 100, 2)],
)
def test_a_percentile_is_the_nearest_rank(values, share, is_):
    assert stats.percentile(values, share) == is_


def test_spend_without_a_price_is_unknown_and_not_zero():
    assert stats.spend(DAYS, [(stamp(NOW), None)]).now is None
    paid = stats.spend(DAYS, [(stamp(NOW), None), (stamp(NOW - HOUR), 0.25)])
    assert (paid.now, paid.before) == (0.25, 0)


@pytest.mark.django_db
def test_the_rows_of_a_database_are_counted_by_status_and_ten_minutes():
    now = timezone.now()
    RequestRecordFactory.create_batch(2, created_at=now)
    RequestRecordFactory(created_at=now, failed=True)
    RequestRecordFactory(created_at=now - timedelta(days=3))
    tallies = RequestRecord.objects.tallies(now - timedelta(days=2))
    assert sorted(tallies) == [
        ("COMPLETED", stamp(now), 2),
        ("FAILED", stamp(now), 1),
    ]


@pytest.mark.django_db
def test_only_what_left_the_machine_costs():
    now = timezone.now()
    RequestRecordFactory(created_at=now, llm_provider="openai", cost_usd="0.25")
    RequestRecordFactory(created_at=now, llm_provider="Google", cost_usd="0.5")
    RequestRecordFactory(created_at=now, llm_provider="ollama", cost_usd="9")
    assert RequestRecord.objects.costs(now - HOUR) == [(stamp(now), 0.75)]


@pytest.mark.django_db
def test_timings_are_the_newest_of_their_time():
    now = timezone.now()
    for ago in range(4):
        RequestRecordFactory(created_at=now - ago * HOUR, ttft_seconds=ago)
    rows = RequestRecord.objects.timings(now - 3 * HOUR, now, most=2)
    assert rows == [(now - HOUR, 1), (now - 2 * HOUR, 2)]
