"""Charts as paths, ticks, sentences and tables: pure arithmetic."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runtime_app.views.chart_svg import Series, Window, draw, mean, round_up
from tests.runtime_app.sampling import NOON, at
from venom_site.lib.svg_paths import Frame

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def window(span=timedelta(minutes=4), step=MINUTE, now=NOON):
    return Window.up_to(now, span=span, step=step)


def words(value):
    return "–" if value is None else f"{value:g} u"


def test_a_window_ends_with_the_step_of_now_so_that_steps_stand_still():
    for seconds in (0, 1, 59):
        assert window(now=at(seconds)).begin == at(-180)
    assert window(now=at(60)).begin == at(-120)


def test_values_fall_into_their_steps_and_silence_is_none():
    points = [(at(-180), 2.0), (at(-170), 4.0), (at(30), 9.0), (at(-60), None)]
    outside = [(at(-181), 99.0), (at(60), 99.0)]
    assert window().spread(points + outside, mean) == [3.0, None, None, 9.0]
    assert window().spread(points, max) == [4.0, None, None, 9.0]


def test_a_line_is_broken_where_nothing_was_measured():
    drawn = draw("x", "X", window(), [Series(label="a", values=[1, 1, None, 1])], words)
    [line] = drawn.lines
    assert line.line == "M0,2L200,2 M600,2h0"
    assert line.area.count("Z") == 2
    assert line.latest == "1 u"


def test_the_axis_goes_to_the_next_round_number_or_to_all_there_is():
    def levels(values, **more):
        return draw(
            "x", "X", window(), [Series(label="a", values=values)], words, **more
        )

    assert levels([3, 7]).levels == ["10 u", "5 u", "0 u"]
    assert levels([3, 7], top=12.0).levels == ["12 u", "6 u", "0 u"]
    assert levels([3, 17], top=12.0).levels == ["17 u", "8.5 u", "0 u"]
    assert levels([0, 0]).levels == ["1 u", "0.5 u", "0 u"]


@pytest.mark.parametrize(
    ("number", "round_number"),
    [(0, 1), (0.3, 0.5), (1, 1), (1.1, 2), (2, 2), (7, 10), (130, 200), (0.02, 0.02)],
)
def test_round_numbers_are_one_two_and_five(number, round_number):
    assert round_up(number) == pytest.approx(round_number)


def test_a_mark_is_a_line_across_at_its_value():
    drawn = draw(
        "x",
        "X",
        window(),
        [Series(label="a", values=[50, 50, 50, 50])],
        words,
        top=100,
        mark=85,
        mark_words="85 %",
    )
    assert drawn.mark == f"M0,{Frame(600, 140).y(0.85):g}H600"
    assert drawn.mark_words == "85 %"


def test_it_says_the_same_in_a_sentence_and_in_a_table():
    long = window(span=timedelta(minutes=24))
    values = [float(n) if n != 23 else None for n in range(24)]
    lines = [
        Series(label="a", values=values, take=mean),
        Series(label="never", values=[None] * 24),
    ]

    drawn = draw("x", "Load", long, lines, words)

    assert drawn.summary == "Load, a: 0 u to 22 u, last 22 u."
    assert [line.label for line in drawn.lines] == ["a"]
    assert len(drawn.table) == 12
    assert drawn.table[0].texts == ["22 u"]
    assert drawn.table[1].texts == ["20.5 u"]
    assert drawn.table[-1].at == long.begin


def test_what_was_never_measured_is_no_chart():
    drawn = draw("x", "X", window(), [Series(label="a", values=[None] * 4)], words)
    assert (drawn.lines, drawn.summary, drawn.table) == ([], "", [])


def test_the_time_axis_has_a_beginning_and_an_end():
    times = window(span=HOUR).times(4)
    assert (times[0], times[-1], len(times)) == (at(-3540), at(60), 5)
