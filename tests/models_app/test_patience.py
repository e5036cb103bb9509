"""Waiting for who does not answer: longer each time, and not for ever."""

from __future__ import annotations

from itertools import takewhile

import pytest

from models_app.services.patience import Patience


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def pauses(patience, clock):
    """All of them, each slept through."""
    for pause in takewhile(lambda pause: pause is not None, iter_pauses(patience)):
        clock.now += pause
        yield pause


def iter_pauses(patience):
    while True:
        yield patience.next_pause()


def test_pauses_grow_to_half_a_minute_and_end_after_ten():
    clock = Clock()

    waited = list(pauses(Patience(clock), clock))

    assert waited[:7] == [1, 2, 4, 8, 16, 30, 30]
    assert sum(waited) == pytest.approx(600)


def test_something_that_came_starts_the_count_anew():
    clock = Clock()
    patience = Patience(clock)
    list(pauses(patience, clock))
    assert patience.next_pause() is None

    patience.moved(clock.now)

    assert patience.next_pause() == 1


def test_what_came_before_is_no_sign_of_life():
    clock = Clock()
    patience = Patience(clock)
    patience.next_pause()

    patience.moved(10.0)

    assert patience.next_pause() == 2
