"""Samples grow coarser with age, however often and wherever that stops."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from runtime_app.models import MachineSample, RuntimeSample
from runtime_app.monitoring import merging, thinning
from tests.factories import RuntimeFactory
from tests.runtime_app.sampling import GIB, NOON, at, machine, sample

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(monkeypatch):
    """clock(seconds after noon)."""

    def put(seconds: float) -> None:
        monkeypatch.setattr(timezone, "now", lambda: at(seconds))

    put(0)
    return put


@pytest.fixture
def runtime(db):
    return RuntimeFactory()


def rows(seconds: int):
    return list(RuntimeSample.objects.filter(seconds=seconds).order_by("at"))


def test_a_minute_becomes_one_row_beside_its_six(runtime, clock):
    for number in range(6):
        sample(
            runtime,
            number * 10,
            latency_ms=float(number),
            memory_bytes=number * GIB,
            requests_running=1.0 if number < 3 else None,
            status="offline" if number == 5 else "online",
        )
    clock(95)

    thinning.thin()

    [minute] = rows(60)
    assert minute.at == NOON
    assert minute.latency_ms == 2.5
    assert minute.memory_bytes == 5 * GIB, "the most of memory"
    assert minute.requests_running == 1.0, "what is not known is no zero"
    assert minute.requests_waiting is None
    assert minute.status == "online"
    assert len(rows(10)) == 6


def test_a_span_that_still_runs_waits_and_one_that_was_half_is_made_again(
    runtime, clock
):
    sample(runtime, 0, latency_ms=1.0)
    clock(80)
    thinning.thin()
    assert rows(60) == []

    clock(95)
    thinning.thin()
    sample(runtime, 10, latency_ms=3.0)  # from a clock that lags
    thinning.thin()
    thinning.thin()

    [minute] = rows(60)
    assert minute.latency_ms == 2.0


def test_each_size_goes_when_its_time_is_over(runtime, clock):
    for seconds, age in [(10, 2), (60, 25), (600, 24 * 31)]:
        sample(runtime, -age * 3600, seconds=seconds)
    sample(runtime, -600)
    clock(0)
    thinning.thin()
    left = RuntimeSample.objects.filter(at__lt=at(-3600))
    # The old ten seconds became a minute and ten minutes, the old minute ten minutes.
    assert sorted((row.seconds, row.at) for row in left) == [
        (60, at(-2 * 3600)),
        (600, at(-25 * 3600)),
        (600, at(-2 * 3600)),
    ]
    assert RuntimeSample.objects.filter(at=at(-600)).count() == 2


def test_after_a_long_rest_everything_is_caught_up_in_batches(
    runtime, clock, monkeypatch
):
    monkeypatch.setattr(thinning, "BATCH", 25)
    begin = -3 * 3600
    RuntimeSample.objects.bulk_create(
        RuntimeSample(
            runtime=runtime, at=at(begin + n * 10), status="online", latency_ms=n % 6
        )
        for n in range(360)
    )

    thinning.thin()

    assert [row.at for row in rows(60)] == [at(begin + n * 60) for n in range(60)]
    assert {row.latency_ms for row in rows(60)} == {2.5}
    assert [row.at for row in rows(600)] == [at(begin + n * 600) for n in range(6)]
    assert rows(10) == []


def test_a_death_in_the_middle_changes_nothing_of_the_end(runtime, clock, monkeypatch):
    for number in range(120):
        sample(runtime, -7200 + number * 10, latency_ms=float(number))
    write = thinning._write

    def die(rows, made):
        write(rows, made)
        raise SystemExit

    monkeypatch.setattr(thinning, "_write", die)
    with pytest.raises(SystemExit):
        thinning.thin()
    monkeypatch.setattr(thinning, "_write", write)

    thinning.thin()
    first = list(RuntimeSample.objects.order_by("seconds", "at").values())
    thinning.thin()

    assert list(RuntimeSample.objects.order_by("seconds", "at").values()) == first
    assert [row.latency_ms for row in rows(600)] == [29.5, 89.5]


def test_rows_of_a_clock_that_ran_ahead_go(runtime, clock):
    sample(runtime, 3600)
    sample(runtime, 60)
    thinning.thin()
    assert [row.at for row in rows(10)] == [at(60)]


def test_machines_keep_the_most_of_memory_and_the_mean_of_work(runtime, clock):
    node = runtime.node
    machine(node, at(0), percent=40, gpus=[(2, 12)], cpu_percent=None)
    machine(node, at(10), percent=60, gpus=[(8, 12), (1, 8)], cpu_percent=30.0)
    clock(95)

    thinning.thin()

    made = MachineSample.objects.get(seconds=60)
    assert made.memory_used_bytes == 60 * GIB
    assert made.cpu_percent == 30.0
    assert [gpu["used_bytes"] for gpu in made.gpus] == [8 * GIB, GIB]
    assert made.gpus[0]["utilization_percent"] == 40


def test_servers_do_not_mix(runtime, clock):
    other = RuntimeFactory(name="other")
    sample(runtime, 0, latency_ms=1.0)
    sample(other, 0, latency_ms=9.0)
    clock(95)
    thinning.thin()
    assert {row.runtime_id: row.latency_ms for row in rows(60)} == {
        runtime.pk: 1.0,
        other.pk: 9.0,
    }


def test_a_mean_of_nothing_is_nothing():
    assert merging.mean([None, None]) is None
    assert merging.most([]) is None


def test_a_quiet_minute_costs_little(runtime, clock, django_assert_max_num_queries):
    clock((timezone.now() - NOON).total_seconds())
    thinning.thin()
    with django_assert_max_num_queries(22):
        thinning.thin()
    assert timedelta(minutes=1) > thinning.SETTLED
