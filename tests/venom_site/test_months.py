"""Months as addresses write them."""

from __future__ import annotations

import pytest

from venom_site.lib import months


def test_months_go_on_over_the_end_of_a_year():
    assert months.shifted("2025-12", 1) == "2026-01"
    assert months.shifted("2026-01", -1) == "2025-12"
    assert months.shifted("2026-07", -25) == "2024-06"


def test_every_month_is_listed_newest_first():
    listed = months.since("2023-01")

    assert listed[0] == months.this_month()
    assert listed[-2:] == ["2023-02", "2023-01"]
    assert len(listed) == len(set(listed)) >= 40
    assert [months.checked(month, first="2023-01") for month in listed] == listed


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-00", "2026-7", "2026-07 ", "9999-12", "x"]
)
def test_what_is_no_month_is_refused_with_what_is_wanted(text):
    with pytest.raises(ValueError, match="must be a month from 2023-01 to"):
        months.checked(text, first="2023-01")
