"""Bytes, durations and rates as words: the edge where units become text.

Sizes of models and disks are decimal (GB = 10⁹), memory as drivers report it (GiB).
Pure functions, used by templates, the terminal and the API.
"""

from __future__ import annotations

from datetime import UTC, datetime

from django.utils.formats import number_format
from django.utils.translation import gettext as _

GB = 1_000_000_000
GIB = 1 << 30


def size_text(size_bytes: int | float | None) -> str:
    """`4.9 GB`, `812 MB`, `3 kB`; an unknown size is an en dash."""
    if size_bytes is None:
        return "–"
    for limit, unit, places in ((GB, "GB", 1), (1_000_000, "MB", 0), (1000, "kB", 0)):
        if size_bytes >= limit:
            return f"{number_format(size_bytes / limit, places)} {unit}"
    return f"{int(size_bytes)} B"


def memory_text(size_bytes: int | float | None) -> str:
    """`5.1 GiB`, as drivers report memory."""
    return "–" if size_bytes is None else f"{number_format(size_bytes / GIB, 1)} GiB"


def duration_text(seconds: float | None) -> str:
    """`42 ms`, `1.21 s`, `4:12`, `2 h 5 min`, `6 d 4 h`."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return _("%(n)s ms") % {"n": round(seconds * 1000)}
    if seconds < 60:
        return _("%(n)s s") % {"n": number_format(seconds, 2 if seconds < 10 else 0)}
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return _("%(h)s h %(m)s min") % {"h": hours, "m": minutes}
    return _("%(d)s d %(h)s h") % {"d": hours // 24, "h": hours % 24}


def time_left_text(seconds: float | None) -> str:
    """`about 3 min left`, rounded so that it does not flicker."""
    if seconds is None:
        return ""
    if seconds < 60:
        rounded = max(5, round(seconds / 5) * 5)
        return _("about %(n)s s left") % {"n": rounded}
    if seconds < 5400:
        return _("about %(n)s min left") % {"n": round(seconds / 60)}
    return _("about %(n)s h left") % {"n": round(seconds / 3600)}


def iso(moment: datetime | None) -> str | None:
    """UTC ISO 8601 with `Z` and milliseconds, as the API writes every time."""
    if moment is None:
        return None
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
