"""Bytes, durations and rates as words: the edge where units become text.

Sizes of models and disks are decimal (GB = 10⁹), memory as drivers report it (GiB).
Pure functions, used by templates, the terminal and the API.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from django.utils.formats import number_format
from django.utils.translation import get_language
from django.utils.translation import gettext as _

GB = 10**9
GIB = 1 << 30
NONE = "–"
THIN_SPACE = "\u202f"
BYTE_STEPS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def decimal(number: float, places: int) -> str:
    """Rounded, with the language's comma; Django's own function only cuts off."""
    return _written(round(number, places), places, get_language())


@lru_cache(maxsize=4096)
def _written(number: float, places: int, _language: str | None) -> str:
    """Lists write the same few numbers again and again, in a hundred steps each."""
    return number_format(number, places)


def size_text(size: float | None) -> str:
    """4900000000 → 4.9 GB; decimal units, as disks and model pages count."""
    if size is None:
        return NONE
    for step, unit in BYTE_STEPS:
        if size >= step:
            decimals = 1 if step >= 10**9 or (step == 10**6 and size < 10**8) else 0
            return f"{decimal(size / step, decimals)} {unit}"
    return f"{int(size)} B"


def memory_text(size: float | None) -> str:
    """Memory as drivers count it: 1 GiB is 1024 MiB."""
    if size is None:
        return NONE
    if size < 2**30:
        return f"{decimal(size / 2**20, 0)} MiB"
    return f"{decimal(size / 2**30, 1)} GiB"


def count_text(number: int | None) -> str:
    """1284 → 1 284, with a thin space that does not break."""
    return NONE if number is None else f"{int(number):,}".replace(",", THIN_SPACE)


def percent_text(number: float | None) -> str:
    """0 %, 0.9 %, 12 %, and < 0.1 % for what is not nothing."""
    if number is None:
        return NONE
    if 0 < number < 0.05:
        return f"< {decimal(0.1, 1)} %"
    return f"{decimal(number, 0 if number >= 10 or number == 0 else 1)} %"


def dollars_text(amount: float | None) -> str:
    """$0.41, $0.0002: cents, and of a single request what it really took."""
    if amount is None:
        return NONE
    return f"${decimal(amount, 4 if 0 < amount < 0.01 else 2)}"


def duration_text(seconds: float | None) -> str:
    """42 ms, 1.21 s, 41 s, 4:12, 1:02:03: never more digits than mean something."""
    if seconds is None or seconds < 0:
        return NONE
    if 0 < seconds < 0.0005:
        return "< 1 ms"
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 59.5:
        return f"{decimal(seconds, 2 if seconds < 10 else 0)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def clock_text(seconds: float) -> str:
    """0:07, 4:12, 1:02:03: what a countdown shows."""
    minutes, rest = divmod(int(max(0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def milliseconds_text(number: float | None) -> str:
    """The same words for a value counted in milliseconds."""
    return duration_text(None if number is None else number / 1000)


def time_left_text(seconds: float | None) -> str:
    """A rounded promise, since an exact one would be a lie: about 3 min left."""
    if seconds is None or seconds < 0:
        return ""
    if seconds < 10:
        return _("a few seconds left")
    if seconds < 55:
        return _("about %(count)s s left") % {"count": round(seconds / 10) * 10}
    if seconds < 5400:
        return _("about %(count)s min left") % {"count": round(seconds / 60)}
    return _("about %(count)s h left") % {"count": round(seconds / 3600)}


def iso(moment: datetime | None) -> str | None:
    """UTC ISO 8601 with `Z` and milliseconds, as the API writes every time."""
    if moment is None:
        return None
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
