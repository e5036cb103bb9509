"""Drawings made by the server, and values kept for a moment."""

import re

from venom_site.lib.kept import Kept
from venom_site.templatetags.charts import sparkline


def path(drawing: str, name: str) -> str:
    return re.search(rf'class="{name}" d="([^"]*)"', drawing)[1]


def test_a_line_goes_from_zero_to_the_largest_value():
    assert path(sparkline([0, 5, 10], "x"), "line") == "M0,26L50,14L100,2"


def test_what_was_not_measured_is_a_gap_and_a_lone_value_a_dot():
    drawing = sparkline([1, None, 1, 1], "x")
    assert path(drawing, "line") == "M0,2h0 M66.7,2L100,2"
    assert path(drawing, "under").count("Z") == 2


def test_nothing_but_zeros_is_a_line_at_the_bottom():
    assert path(sparkline([0, 0], "x"), "line") == "M0,26L100,26"


def test_the_sentence_is_the_name_of_the_drawing_and_escaped():
    assert 'role="img" aria-label="&lt;b&gt;"' in sparkline([1], "<b>")


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def kept_beside(clock, cost):
    reads = []

    def read():
        clock.now += cost
        reads.append(clock.now)
        return len(reads)

    return Kept(read, clock)


def test_what_takes_long_is_kept_for_fifteen_seconds():
    clock = Clock()
    kept = kept_beside(clock, cost=1.0)
    assert kept.get() == 1
    clock.now += 14.9
    assert kept.get() == 1
    clock.now += 0.2
    assert kept.get() == 2


def test_what_is_cheap_may_be_kept_for_a_while_all_the_same():
    clock = Clock()
    kept = Kept(kept_beside(clock, cost=0.001).get, clock, at_least=2)
    first = kept.get()
    clock.now += 1.9
    assert kept.get() == first
    clock.now += 0.2
    assert kept.get() > first


def test_what_is_cheap_is_soon_read_again():
    clock = Clock()
    kept = kept_beside(clock, cost=0.01)
    kept.get()
    clock.now += 0.9
    assert kept.get() == 1
    clock.now += 0.2
    assert kept.get() == 2
