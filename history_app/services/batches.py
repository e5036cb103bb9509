"""Writing many request rows at once, and telling the pages which ended.

Called by the recorder only. A value that the database cannot hold is fitted first; a
row that it still refuses is dropped with an error line, so that it cannot hold up the
others.
"""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.db import DataError, IntegrityError, transaction
from django.db.models import CharField

from history_app.models import RequestRecord
from history_app.schemas import request_payload
from venom_site.lib import events
from venom_site.lib.logging import without_secrets

logger = logging.getLogger(__name__)

_LONGEST = {
    column.name: column.max_length
    for column in RequestRecord._meta.concrete_fields
    if isinstance(column, CharField)
}
_CHANGING = [
    column.name
    for column in RequestRecord._meta.concrete_fields
    if column.name not in {"id", "created_at"}
]
# Pages only need to know that something ended; a busy second has hundreds.
MOST_EVENTS = 10


def write(rows: list[dict[str, Any]]) -> None:
    """Insert or update each row; then publish `request.finished` for the ended ones."""
    records = [RequestRecord(**_fitted(row)) for row in rows]
    if not records:
        return
    try:
        _upsert(records)
    except (DataError, IntegrityError, ValueError, TypeError):
        records = [record for record in records if _upsert_alone(record)]
    ended = [record for record in records if record.finished_at is not None]
    for record in ended[-MOST_EVENTS:]:
        payload = request_payload(record, may_view_payload=False)
        events.publish_now(events.Event(type="request.finished", data=payload))


def _upsert(records: list[RequestRecord]) -> None:
    with transaction.atomic():
        RequestRecord.objects.bulk_create(
            records,
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=_CHANGING,
        )


def _upsert_alone(record: RequestRecord) -> bool:
    try:
        _upsert([record])
    except (DataError, IntegrityError, ValueError, TypeError) as error:
        logger.error("history row dropped request=%s %s", record.request_id, error)
        return False
    return True


def _fitted(row: dict[str, Any]) -> dict[str, Any]:
    """Text in its columns' lengths, without what a database refuses or none may see."""
    fitted = {name: _clean(value) for name, value in row.items()}
    for name, longest in _LONGEST.items():
        if isinstance(fitted.get(name), str):
            fitted[name] = fitted[name][:longest]
    prompt = without_secrets(fitted.get("prompt_preview", ""))
    if settings.ENV.VENOM_STORE_PROMPTS == "preview":
        prompt = prompt[:500]
    return {**fitted, "prompt_preview": prompt}


def _clean(value: Any) -> Any:
    """PostgreSQL takes no NUL, no database takes half a surrogate pair."""
    if isinstance(value, dict):
        return {_clean(name): _clean(item) for name, item in value.items()}
    if not isinstance(value, str):
        return value
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
