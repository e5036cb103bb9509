"""Mends rows that older versions, other programs or a broken clock left.

By hand, `manage.py sanitise_history`; may run twice, at once or again. Rows are read
as text, because what is wrong with them often is that no field can read them; batches
go by key, each a short transaction. What is mended is listed in `_WRONG`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from history_app.choices import OPEN_STATUSES, RequestStatus
from history_app.services.row_values import LENGTHS, PREVIEWS, deep
from venom_site.lib.logging import without_secrets

BATCH_ROWS = 500
TABLE = "history_app_requestrecord"
TIMES = ("created_at", "touched_at", "finished_at")
SECONDS = ("duration_seconds", "ttft_seconds", "queue_seconds", "overhead_seconds")
OBJECTS = ("parameters", "trace")
TEXTS = tuple(name for name in LENGTHS if name != "status")
# Before this there was no such product; a day is what clocks and zones differ by.
_FIRST = datetime(2020, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)
_CLOCK_STEP = timedelta(seconds=1)

Raw = dict[str, str | None]
Changes = dict[str, Any]


def sanitise(*, dry_run: bool = False) -> Counter[str]:
    """How many values were mended, by what was wrong with them."""
    counts: Counter[str] = Counter()
    last: Any = None
    while True:
        with transaction.atomic():
            batch = _read(last)
            for pk, row in batch:
                changes = _mended(row, counts)
                if changes and not dry_run:
                    _write(pk, changes)
        if not batch:
            return counts
        last = batch[-1][0]


def _read(last: Any) -> list[tuple[Any, Raw]]:
    names = ("status", *TIMES, *SECONDS, *TEXTS, *PREVIEWS, *OBJECTS)
    columns = ", ".join(f"CAST({name} AS TEXT)" for name in names)
    after = "" if last is None else "WHERE id > %s"
    lock = "FOR UPDATE" if connection.features.has_select_for_update else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, {columns} FROM {TABLE} {after} "  # noqa: S608 - our own names
            f"ORDER BY id LIMIT {BATCH_ROWS} {lock}",
            [] if last is None else [last],
        )
        return [(pk, dict(zip(names, row, strict=True))) for pk, *row in cursor]


def _write(pk: Any, changes: Changes) -> None:
    settings = ", ".join(f"{name} = %s" for name in changes)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {TABLE} SET {settings} WHERE id = %s",  # noqa: S608
            [*(_adapted(value) for value in changes.values()), pk],
        )


def _adapted(value: Any) -> Any:
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return value


def _mended(row: Raw, counts: Counter[str]) -> Changes:
    changes: Changes = {}
    for wrong, name, value in (
        *_wrong_times(row),
        *_wrong_status(row),
        *_wrong_seconds(row),
        *_wrong_texts(row),
        *_wrong_objects(row),
    ):
        changes[name] = value
        counts[wrong] += 1
    return changes


Found = Iterator[tuple[str, str, Any]]


def _wrong_times(row: Raw) -> Found:
    """A time without a zone is UTC; one that cannot be is replaced by a neighbour."""
    now = timezone.now()
    times = {name: _moment(row[name], now) for name in TIMES}
    known = [moment for moment in times.values() if moment is not None]
    created = times["created_at"] or min(known, default=now)
    touched = times["touched_at"] or created
    finished = times["finished_at"]
    is_ended = _status_of(row) not in OPEN_STATUSES
    if finished is None and (is_ended or row["finished_at"] is not None):
        wrong = "end missing" if row["finished_at"] is None else "time impossible"
        yield wrong, "finished_at", _end(row, created, touched)
    elif finished is not None and finished < created - _CLOCK_STEP:
        yield "end before its beginning", "finished_at", _end(row, created, touched)
    elif finished is not None and not _has_zone(row["finished_at"]):
        yield "time without a zone", "finished_at", finished
    for name, moment in (("created_at", created), ("touched_at", touched)):
        if times[name] is None:
            yield "time impossible", name, moment
        elif not _has_zone(row[name]):
            yield "time without a zone", name, moment


def _end(row: Raw, created: datetime, touched: datetime) -> datetime:
    seconds = _number(row["duration_seconds"])
    if seconds is not None and seconds < _AHEAD.total_seconds():
        return created + timedelta(seconds=seconds)
    return max(created, touched)


def _wrong_status(row: Raw) -> Found:
    status = _status_of(row)
    if status != row["status"]:
        yield "status unknown", "status", status


def _status_of(row: Raw) -> str:
    """Another spelling of ours, else FAILED where it has an end and LOST without."""
    given = (row["status"] or "").strip().upper()
    if given in RequestStatus.values:
        return given
    return RequestStatus.FAILED if row["finished_at"] else RequestStatus.LOST


def _wrong_seconds(row: Raw) -> Found:
    for name in SECONDS:
        if row[name] is not None and _number(row[name]) is None:
            yield "duration impossible", name, None


def _wrong_texts(row: Raw) -> Found:
    for name in (*TEXTS, *PREVIEWS):
        text = row[name] or ""
        plain = without_secrets(text)
        if plain != text:
            yield "secret", name, plain[: LENGTHS.get(name)]
        elif len(text) > LENGTHS.get(name, len(text)):
            yield "text too long", name, text[: LENGTHS[name]]


def _wrong_objects(row: Raw) -> Found:
    for name in OBJECTS:
        found = json.loads(row[name] or "null")
        plain = deep(found, without_secrets)
        if not isinstance(found, dict):
            yield "object impossible", name, "{}"
        elif plain != found:
            yield "secret", name, json.dumps(plain)


def _moment(text: str | None, now: datetime) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment if _FIRST <= moment <= now + _AHEAD else None


def _has_zone(text: str | None) -> bool:
    """SQLite keeps UTC without a zone and with a space, and sorts by these letters."""
    if connection.vendor != "sqlite":
        return True
    return text is not None and "T" not in text and "+" not in text and text[-1] != "Z"


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
