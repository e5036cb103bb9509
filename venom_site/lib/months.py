"""Months as people and addresses write them: `2026-07`, in UTC. Pure."""

from __future__ import annotations

import re
from datetime import date

from django.utils import timezone

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])\Z")


def this_month() -> str:
    return f"{timezone.now():%Y-%m}"


def checked(text: str, *, first: str) -> str:
    """The month, from `first` to the present one; raises ValueError with what is
    wanted."""
    last = this_month()
    if not (_MONTH.match(text) and first <= text <= last):
        raise ValueError(f"must be a month from {first} to {last}, as in {last}")
    return text


def first_day(month: str) -> date:
    return date(int(month[:4]), int(month[5:]), 1)


def shifted(month: str, by: int) -> str:
    """So many months later, or earlier."""
    years, index = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 + by, 12)
    return f"{years:04}-{index + 1:02}"


def since(first: str) -> list[str]:
    """Every month from then to the present one, newest first."""
    month, found = this_month(), []
    while month >= first:
        found.append(month)
        month = shifted(month, -1)
    return found
