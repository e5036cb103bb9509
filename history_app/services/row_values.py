"""What a row of the history may hold: no secrets, no more than its columns take.

`storable` is for whatever keeps a row, be it the database or the spool; `of_columns`
is what the database's driver takes. Pure functions.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import CharField, DateTimeField, Field, JSONField

from history_app.models import RequestRecord
from venom_site.lib.logging import may_hold_secrets, without_secrets

PREVIEW_CHARACTERS = 500
PREVIEWS = ("prompt_preview", "answer_preview")
COLUMNS: list[Field[Any, Any]] = list(RequestRecord._meta.concrete_fields)
COLUMN_NAMES = [column.name for column in COLUMNS]
LENGTHS = {
    column.name: column.max_length
    for column in COLUMNS
    if isinstance(column, CharField) and column.max_length
}
_MOMENTS = [column.name for column in COLUMNS if isinstance(column, DateTimeField)]
_IN_ORDER = itemgetter(*COLUMN_NAMES)
_TEXTUAL = (str, dict)
_ENCODER = json.JSONEncoder(default=str)
# The recorder gives an id and times itself; the rest of the defaults never changes.
_DEFAULTS = {
    c.name: "{}" if isinstance(c, JSONField) else c.get_default() for c in COLUMNS
}

Row = dict[str, Any]


def storable(row: Row) -> Row:
    """The same row with its texts masked and fitted and its objects as JSON text."""
    texts = {
        name: value if type(value) is str else _text(value)
        for name, value in row.items()
        if isinstance(value, _TEXTUAL)
    }
    whole = "\n".join(texts.values())
    if not whole.isascii() or "\0" in whole:
        texts = {name: clean(text) for name, text in texts.items()}
    found = {**row, **texts}
    if may_hold_secrets(whole):
        for name, text in texts.items():
            found[name] = _masked(row[name], text)
    for name, length in LENGTHS.items():
        if len(texts.get(name, "")) > length:
            found[name] = found[name][:length]
    if settings.ENV.VENOM_STORE_PROMPTS == "preview":
        for name in PREVIEWS:
            found[name] = found.get(name, "")[:PREVIEW_CHARACTERS]
    return found


def of_columns(rows: list[Row]) -> list[tuple[Any, ...]]:
    """Storable rows in column order; the model's defaults where one says nothing."""
    adapted = _moment_of(connection)
    is_native = connection.features.has_native_uuid_field
    found = []
    for row in rows:
        whole: Row = _DEFAULTS | row
        if not is_native:
            whole["id"] = whole["id"].hex
        for name in _MOMENTS:
            whole[name] = adapted(whole[name])
        found.append(_IN_ORDER(whole))
    return found


def _moment_of(connection: Any) -> Callable[[datetime | None], Any]:
    """What this database takes for a time. SQLite takes text in its own zone: asking
    Django for each costs as much as all else here, and ours are in UTC already."""
    adapt: Callable[[datetime | None], Any]
    adapt = connection.ops.adapt_datetimefield_value
    if connection.vendor != "sqlite" or connection.timezone is not UTC:
        return adapt

    def text(moment: datetime | None) -> Any:
        if moment is None or moment.tzinfo is not UTC:
            return adapt(moment)
        return str(moment.replace(tzinfo=None))

    return text


def deep(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with every text in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list | tuple):
        return [deep(item, change) for item in value]
    if isinstance(value, dict):
        return {deep(k, change): deep(v, change) for k, v in value.items()}
    return value


def _text(value: str | dict[str, Any]) -> str:
    if isinstance(value, str):
        return value[:]  # of a choice its plain value
    text = _ENCODER.encode(value)
    # PostgreSQL refuses both escapes; whole pairs pass here too, which costs time only.
    if "\\u0000" in text or "\\ud" in text:
        text = _ENCODER.encode(deep(value, clean))
    return text


def _masked(given: Any, text: str) -> str:
    """Text by text inside objects: the pattern would eat the JSON around a secret."""
    if not may_hold_secrets(text):
        return text
    if isinstance(given, dict):
        return json.dumps(deep(json.loads(text), without_secrets))
    return without_secrets(text)


def clean(text: str) -> str:
    """PostgreSQL takes no NUL, no database takes half a surrogate pair."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
