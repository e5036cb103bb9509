"""The arithmetic of a download: all parts, no leaps in speed, never above the total."""

from __future__ import annotations

import pytest

from models_app.services.transfer import Transfer

MB = 10**6


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


def fetched(transfer, clock, part, size, *, speed, start=0):
    """The part comes in steps of a tenth of a second."""
    for done in range(start, size + 1, speed // 10):
        transfer.saw(part, done, size)
        clock.tick(0.1)


def test_bytes_count_over_all_parts_and_the_total_is_the_promise(clock):
    transfer = Transfer(150 * MB, clock=clock)

    transfer.saw("a", 100 * MB, 100 * MB)
    transfer.saw("b", 20 * MB, 40 * MB)

    assert (transfer.done, transfer.total) == (120 * MB, 150 * MB)
    assert transfer.percent == pytest.approx(80)


def test_without_a_promise_the_total_grows_with_what_is_seen(clock):
    transfer = Transfer(clock=clock)
    assert transfer.total is None
    assert transfer.percent == 0

    transfer.saw("a", 50 * MB, 100 * MB)
    transfer.saw("b", 0, 100 * MB)

    assert transfer.total == 200 * MB
    assert transfer.percent == 25


def test_more_than_was_promised_raises_the_total_and_never_passes_it(clock):
    transfer = Transfer(10, clock=clock)

    transfer.saw("a", 30, 20)

    assert (transfer.done, transfer.total) == (30, 30)
    assert transfer.percent == 99


def test_the_speed_is_a_mean_of_ten_seconds(clock):
    transfer = Transfer(1000 * MB, clock=clock)

    fetched(transfer, clock, "a", 300 * MB, speed=50 * MB)
    assert transfer.speed_bps == pytest.approx(50 * MB, rel=0.05)
    fetched(transfer, clock, "a", 450 * MB, speed=10 * MB, start=300 * MB)

    assert transfer.speed_bps == pytest.approx(10 * MB, rel=0.05)


def test_silence_brings_the_speed_down_to_nothing(clock):
    transfer = Transfer(1000 * MB, clock=clock)
    fetched(transfer, clock, "a", 100 * MB, speed=50 * MB)

    clock.tick(11)

    assert transfer.speed_bps == 0


def test_there_is_no_speed_before_there_is_a_second(clock):
    transfer = Transfer(1000 * MB, clock=clock)

    transfer.saw("a", 0, 100)
    clock.tick(0.5)
    transfer.saw("a", 90, 100)

    assert transfer.speed_bps is None


def test_what_an_earlier_fetch_left_is_no_speed(clock):
    transfer = Transfer(1000 * MB, before=600 * MB, clock=clock)

    assert transfer.saw("a", 600 * MB, 900 * MB) == 0
    clock.tick(2)

    assert transfer.done == 600 * MB
    assert transfer.speed_bps == 0


def test_a_second_fetch_of_the_same_claim_makes_no_leap_either(clock):
    transfer = Transfer(1000 * MB, clock=clock)
    fetched(transfer, clock, "a", 200 * MB, speed=50 * MB)
    clock.tick(60)

    transfer.begin()
    assert transfer.saw("a", 190 * MB, 900 * MB) == 10 * MB
    clock.tick(2)

    assert transfer.speed_bps == 0


def test_a_half_part_that_was_cleared_away_is_told_once(clock):
    transfer = Transfer(1000 * MB, before=600 * MB, clock=clock)

    assert transfer.saw("a", 100 * MB, 100 * MB) == 0, "whole parts tell nothing yet"
    assert transfer.saw("b", 0, 900 * MB) == 500 * MB
    assert transfer.saw("b", 1 * MB, 900 * MB) == 0
    assert transfer.done == 101 * MB


def test_parts_that_nobody_spoke_of_are_there_in_the_end(clock):
    transfer = Transfer(1000, clock=clock)
    transfer.saw("a", 900, 900)

    transfer.complete()

    assert (transfer.done, transfer.total) == (1000, 1000)
    assert transfer.percent == 99


def test_bytes_move_the_hand_of_the_last_byte_and_repeats_do_not(clock):
    transfer = Transfer(100, clock=clock)
    transfer.saw("a", 10, 100)
    clock.tick(5)
    transfer.saw("a", 10, 100)
    assert transfer.moved_at == 1000

    transfer.saw("a", 11, 100)

    assert transfer.moved_at == 1005


def test_nonsense_from_the_source_stays_within_bounds(clock):
    transfer = Transfer(100, clock=clock)

    transfer.saw("a", -5, -10)

    assert (transfer.done, transfer.total, transfer.percent) == (0, 100, 0)
