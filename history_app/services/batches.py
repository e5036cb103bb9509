"""Writing many request rows at once, and telling the pages which ended.

Upserts of many rows each, in words written once: the same through `bulk_create` costs
130 µs of CPU a row (measured), as much as all else the gateway adds. One statement a
row would be worse than slow: each gives the interpreter's lock away, and beside a busy
event loop gets it back 5 ms later. `touched_at` grows with each state of a row, so that
a state which comes late or twice changes nothing. A row that the database refuses is
dropped with an error line and does not hold up the others.
"""

from __future__ import annotations

import logging
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

from django.db import DataError, IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper

from history_app.models import RequestRecord
from history_app.schemas import request_payload
from history_app.services.row_values import COLUMNS, Row, of_columns, storable
from venom_site.lib import events
from venom_site.lib.logging import without_secrets

logger = logging.getLogger(__name__)

# SQLite's write lock is held for one batch: 40 ms of a slow machine.
BATCH_ROWS = 500
# Pages only need to know that something ended; a busy second has hundreds.
MOST_EVENTS = 10
# Rows a statement, the largest first: few sizes, so that each is prepared once.
STATEMENT_ROWS = (64, 8, 1)
CACHE_KB = 4000
LEAST_COPIED, INCOMING = 8, "venom_incoming_requests"
_NEVER_CHANGING = frozenset({"id", "created_at"})
_REFUSALS = (DataError, IntegrityError, ValueError, TypeError, OverflowError)


def write(rows: list[Row]) -> None:
    """Insert or update rows as the recorder holds them."""
    write_storable([storable(row) for row in rows])


def write_storable(rows: list[Row]) -> None:
    """Insert or update; then publish `request.finished` for the latest ended ones."""
    written: list[Row] = []
    for start in range(0, len(rows), BATCH_ROWS):
        written += _write_batch(rows[start : start + BATCH_ROWS])
    ended = [row for row in written if row["finished_at"] is not None]
    for row in ended[-MOST_EVENTS:]:
        payload = request_payload(RequestRecord(**row), may_view_payload=False)
        payload["id"] = str(row["id"])  # the row's: a client may choose the other
        events.publish_now(events.Event(type="request.finished", data=payload))


def probe() -> None:
    """Raises what the database raises while nothing can be written."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def is_connected() -> bool:
    """Whether this thread holds a connection open."""
    return connection.connection is not None


def connect_to_write() -> None:
    """For a thread that only writes: a connection with little memory, if it has none.
    Rows go to the ends of their indexes, so that a small cache serves as well."""
    if connection.vendor == "sqlite" and not is_connected():
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA cache_size = -{CACHE_KB}")


def _write_batch(rows: list[Row]) -> list[Row]:
    # A statement takes an id once; later in the list is not always the later state.
    latest: dict[Any, Row] = {}
    for row in rows:
        known = latest.get(row["id"])
        if known is None or known["touched_at"] < row["touched_at"]:
            latest[row["id"]] = row
    rows = list(latest.values())
    values = of_columns(rows)
    try:
        _upsert(values)
    except _REFUSALS:
        return [row for row, v in zip(rows, values, strict=True) if _upsert_alone(v)]
    return rows


def _upsert(values: list[tuple[Any, ...]]) -> None:
    is_worth_it = len(values) >= LEAST_COPIED and connection.vendor == "postgresql"
    write = _copy if is_worth_it else _insert
    with transaction.atomic(), connection.cursor() as cursor:
        write(cursor, values)


def _insert(cursor: CursorWrapper, values: list[tuple[Any, ...]]) -> None:
    start = 0
    for size in STATEMENT_ROWS:
        while len(values) - start >= size:
            taken = chain.from_iterable(values[start : start + size])
            cursor.execute(_statement(connection.vendor, size), tuple(taken))
            start += size


def _copy(cursor: CursorWrapper, values: list[tuple[Any, ...]]) -> None:
    """PostgreSQL's own way for many rows: three times as fast as statements, for a
    third of the CPU (docs/benchmarks.md). The table of a connection stays with it."""
    words = _words()
    cursor.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS {INCOMING} (LIKE {words.table}) "
        "ON COMMIT DELETE ROWS"
    )
    with cursor.cursor.copy(f"COPY {INCOMING} ({words.names}) FROM STDIN") as copy:
        for row in values:
            copy.write_row(row)
    cursor.execute(
        f"INSERT INTO {words.table} ({words.names}) "  # noqa: S608
        f"SELECT {words.names} FROM {INCOMING} {words.on_conflict}"
    )


def _upsert_alone(values: tuple[Any, ...]) -> bool:
    try:
        _upsert([values])
    except _REFUSALS as error:
        # The first line only: PostgreSQL quotes the row, prompt and all, after it.
        reason = without_secrets(str(error)).partition("\n")[0]
        logger.error("history row dropped request=%s %s", values[0], reason)
        return False
    return True


@cache
def _statement(_vendor: str, rows: int) -> str:
    """The same words on SQLite and PostgreSQL; the names are the model's own."""
    words = _words()
    row = f"({', '.join(['%s'] * len(COLUMNS))})"
    return (
        f"INSERT INTO {words.table} ({words.names}) "  # noqa: S608
        f"VALUES {', '.join([row] * rows)} {words.on_conflict}"
    )


class _Words(NamedTuple):
    table: str
    names: str
    on_conflict: str


@cache
def _words() -> _Words:
    quote = connection.ops.quote_name
    names = [quote(column.attname) for column in COLUMNS]
    changed = ", ".join(
        f"{name} = EXCLUDED.{name}"
        for name, column in zip(names, COLUMNS, strict=True)
        if column.name not in _NEVER_CHANGING
    )
    table, touched = quote(RequestRecord._meta.db_table), quote("touched_at")
    return _Words(
        table=table,
        names=", ".join(names),
        on_conflict=f"ON CONFLICT ({quote('id')}) DO UPDATE SET {changed} "
        f"WHERE EXCLUDED.{touched} > {table}.{touched}",
    )
