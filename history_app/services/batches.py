"""Writing many request rows at once, and telling the pages which ended.

Called by the recorder only. One upsert, run for every row: the same through
`bulk_create` costs 130 µs of CPU a row (measured), as much as all else the gateway
adds. A value that the database cannot hold is fitted first; a row that it still
refuses is dropped with an error line, so that it cannot hold up the others.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import Field

from history_app.models import RequestRecord
from history_app.schemas import request_payload
from venom_site.lib import events
from venom_site.lib.logging import without_secrets

logger = logging.getLogger(__name__)

# Pages only need to know that something ended; a busy second has hundreds.
MOST_EVENTS = 10
_PREVIEW_CHARACTERS = 500
_COLUMNS: list[Field[Any, Any]] = list(RequestRecord._meta.concrete_fields)
_NEVER_CHANGING = frozenset({"id", "created_at"})
_REFUSALS = (DataError, IntegrityError, ValueError, TypeError, OverflowError)


def write(rows: list[dict[str, Any]]) -> None:
    """Insert or update each row; then publish `request.finished` for the ended ones."""
    if not rows:
        return
    values = [_values(row) for row in rows]
    try:
        _upsert(values)
    except _REFUSALS:
        rows = [row for row, v in zip(rows, values, strict=True) if _upsert_alone(v)]
    ended = [row for row in rows if row["finished_at"] is not None]
    for row in ended[-MOST_EVENTS:]:
        record = RequestRecord(**_cleaned(row))
        payload = request_payload(record, may_view_payload=False)
        payload["id"] = str(row["id"])  # the row's: a client may choose the other
        events.publish_now(events.Event(type="request.finished", data=payload))


def _upsert(values: list[tuple[Any, ...]]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(_statement(), values)


def _upsert_alone(values: tuple[Any, ...]) -> bool:
    try:
        _upsert([values])
    except _REFUSALS as error:
        logger.error("history row dropped request=%s %s", values[0], error)
        return False
    return True


def _statement() -> str:
    """The same words on SQLite and PostgreSQL; the names are the model's own."""
    quote = connection.ops.quote_name
    names = [quote(column.attname) for column in _COLUMNS]
    changed = ", ".join(
        f"{name} = EXCLUDED.{name}"
        for name, column in zip(names, _COLUMNS, strict=True)
        if column.name not in _NEVER_CHANGING
    )
    places = ", ".join(["%s"] * len(names))
    table = quote(RequestRecord._meta.db_table)
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places}) "  # noqa: S608
        f"ON CONFLICT ({quote('id')}) DO UPDATE SET {changed}"
    )


def _values(row: dict[str, Any]) -> tuple[Any, ...]:
    """One row in column order, as the driver takes it; the model's defaults where the
    recorder said nothing."""
    known = {**row, "prompt_preview": _kept(row["prompt_preview"])}
    return tuple(
        _fitted(
            known[column.name] if column.name in known else column.get_default(), column
        )
        for column in _COLUMNS
    )


def _fitted(value: Any, column: Field[Any, Any]) -> Any:
    """Text within its column's length, without what a database refuses."""
    if isinstance(value, str):
        return _clean(value)[: column.max_length]
    if isinstance(value, dict):
        return _clean(json.dumps(_cleaned(value)))
    if isinstance(value, UUID):
        return value if connection.features.has_native_uuid_field else value.hex
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return value


def _kept(prompt: str) -> str:
    prompt = without_secrets(prompt)
    is_preview = settings.ENV.VENOM_STORE_PROMPTS == "preview"
    return prompt[:_PREVIEW_CHARACTERS] if is_preview else prompt


def _cleaned(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _clean(value) if isinstance(value, str) else value
        for name, value in values.items()
    }


def _clean(text: str) -> str:
    """PostgreSQL takes no NUL, no database takes half a surrogate pair."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
