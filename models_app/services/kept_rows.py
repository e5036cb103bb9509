"""Rows of kept answers: the claim of whoever asks, what came of it, who is let alone.

Used by `kept_answers.py`, which decides. Every write is one conditional UPDATE; the end
of a claim is its fencing token, so that a caller given up for dead changes nothing.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.db import IntegrityError
from django.db.models import Q
from django.utils import timezone

from models_app.models import CatalogEntry, CatalogPause

LONGEST_KEY = 300
MOST_BYTES = 2 * 10**6
MOST_PASSING = 400  # rows per source that people's typing has made
PASSING = ("search?", "details?")
LONGEST_CALL = timedelta(seconds=20)  # a catalogue promises 15 s
BETWEEN_CALLS = timedelta(seconds=10)
BETWEEN_VIEWS = timedelta(minutes=10)
SHORTEST_REST = timedelta(seconds=30)
LONGEST_REST = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(hours=1)


def bounded_key(key: str) -> str:
    """A key that fits its column; the end of a long one becomes its hash."""
    key = key.replace("\0", "")
    if len(key) <= LONGEST_KEY:
        return key
    return f"{key[: LONGEST_KEY - 65]}#{sha256(key.encode()).hexdigest()}"


def row_of(source: str, key: str) -> CatalogEntry | None:
    return CatalogEntry.objects.filter(source=source, key=key).first()


def make_row(source: str, key: str) -> CatalogEntry:
    """The row of this question, made now if need be."""
    made = CatalogEntry(source=source, key=key, viewed_at=timezone.now())
    CatalogEntry.objects.bulk_create([made], ignore_conflicts=True)
    if key.startswith(PASSING):
        forget_beyond(source, MOST_PASSING)
    return row_of(source, key) or made


def forget_beyond(source: str, most: int) -> int:
    """Forget the typed questions that nobody has looked at for longest."""
    typed = Q()
    for word in PASSING:
        typed |= Q(key__startswith=word)
    rows = CatalogEntry.objects.filter(typed, source=source)
    oldest = rows.order_by("-viewed_at", "-pk").values_list("pk", flat=True)[most:]
    beyond = list(oldest[:1000])
    CatalogEntry.objects.filter(pk__in=beyond).delete()
    return len(beyond)


def mark_viewed(row: CatalogEntry) -> None:
    """At most one write in ten minutes, however many look."""
    now = timezone.now()
    if row.viewed_at is None or row.viewed_at < now - BETWEEN_VIEWS:
        CatalogEntry.objects.filter(pk=row.pk).update(viewed_at=now)


def claim(row: CatalogEntry) -> datetime | None:
    """Until when the source is ours to ask; None where another asks it or has just
    asked it."""
    now = timezone.now()
    until = now + LONGEST_CALL
    free = Q(refreshing_until=None) | Q(refreshing_until__lt=now)
    rested = Q(asked_at=None) | Q(asked_at__lte=now - BETWEEN_CALLS)
    rows = CatalogEntry.objects.filter(free, rested, pk=row.pk)
    return until if rows.update(refreshing_until=until, asked_at=now) else None


def claimed(row: CatalogEntry, until: datetime) -> Any:
    return CatalogEntry.objects.filter(pk=row.pk, refreshing_until=until)


def keep(row: CatalogEntry, until: datetime, payload: Any) -> None:
    """Write the answer; a success ends the pause of its source."""
    kept = claimed(row, until).update(
        payload=payload,
        fetched_at=timezone.now(),
        error="",
        error_code="",
        failed_at=None,
        refreshing_until=None,
    )
    if kept:
        CatalogPause.objects.filter(source=row.source).delete()


def note_failure(row: CatalogEntry, until: datetime, code: str, error: str) -> None:
    """Beside the old payload; `failed_at` stays where the failing began."""
    claimed(row, until).update(
        error_code=code[:40],
        error=error.replace("\0", "")[:500],
        failed_at=row.failed_at or timezone.now(),
        refreshing_until=None,
    )


def release(row: CatalogEntry, until: datetime) -> None:
    claimed(row, until).update(refreshing_until=None)


def rest_of(failing_since: datetime, asked_at: datetime) -> timedelta:
    """30 s after the first failure, then as long as it fails already, at most 5 min."""
    return min(LONGEST_REST, max(SHORTEST_REST, asked_at - failing_since))


def pause(source: str, code: str, reason: str, seconds: float | None) -> None:
    """Leave the whole source alone: so long as it asked for, or as `rest_of` says."""
    now = timezone.now()
    former = CatalogPause.objects.filter(source=source).first()
    since = former.since if former else now
    rest = rest_of(since, now) if seconds is None else timedelta(seconds=seconds)
    until = now + min(LONGEST_PAUSE, max(timedelta(seconds=1), rest))
    told = {"code": code, "until": until, "reason": reason.replace("\0", "")[:500]}
    try:
        CatalogPause.objects.update_or_create(
            source=source, defaults=told, create_defaults=told | {"since": since}
        )
    except IntegrityError:  # another process paused it in this moment: that will do
        return


def storable(payload: Any) -> Any:
    """The payload as both databases hold it: no NUL, no half character, no NaN.

    Raises ValueError for what is larger than 2 MB or no JSON.
    """
    text = json.dumps(payload, allow_nan=False)
    if len(text) > MOST_BYTES:
        raise ValueError(f"the answer has {len(text)} bytes, at most {MOST_BYTES}")
    return _cleaned(payload) if "\\u0000" in text or "\\ud" in text else payload


def _cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        return {_cleaned(name): _cleaned(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(part) for part in value]
    if not isinstance(value, str):
        return value
    whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\0", "")
