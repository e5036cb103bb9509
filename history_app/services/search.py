"""Finding requests: one set of filters for the API and the pages, and who sees what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from history_app.models import RequestRecord
from history_app.querysets import RequestRecordQuerySet
from venom_site.lib import cursors
from venom_site.lib.access import Principal, Scope, require


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFilters:
    """The filters of docs/api.md; an empty one matches everything."""

    status: str = ""
    provider: str = ""
    model: str = ""
    since: datetime | None = None
    until: datetime | None = None
    min_duration: float | None = None
    error_code: str = ""
    key: str = ""
    session_id: str = ""
    fallback: bool | None = None
    q: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    items: list[RequestRecord]
    next_cursor: str | None


def visible_to(principal: Principal | None) -> RequestRecordQuerySet:
    """All requests with the scope `read`; a key with only `inference` sees its own."""
    if (
        principal is not None
        and principal.kind == "key"
        and principal.has(Scope.INFERENCE)
        and not principal.has(Scope.READ)
    ):
        return RequestRecord.objects.of_key(principal.identifier)
    require(principal, Scope.READ)
    return RequestRecord.objects.all()


def filtered(
    rows: RequestRecordQuerySet, wanted: RequestFilters
) -> RequestRecordQuerySet:
    exact = {
        "status": wanted.status,
        "llm_provider": wanted.provider,
        "llm_model": wanted.model,
        "error_code": wanted.error_code,
        "session_id": wanted.session_id,
    }
    rows = rows.filter(**{name: value for name, value in exact.items() if value})
    bounds = {
        "created_at__gte": wanted.since,
        "created_at__lt": wanted.until,
        "duration_seconds__gte": wanted.min_duration,
        "fallback": wanted.fallback,
    }
    rows = rows.filter(**{name: v for name, v in bounds.items() if v is not None})
    if wanted.key:
        rows = rows.asked_by(wanted.key)
    return rows.matching(wanted.q) if wanted.q else rows


def page_of(rows: RequestRecordQuerySet, *, limit: int, cursor: str = "") -> Page:
    """One keyset page, newest first; raises `BadRequest` for a bad cursor."""
    if cursor:
        place = cursors.decode(cursor)
        rows = rows.older_than(place.created_at, place.pk)
    found = list(rows.newest_first()[: limit + 1])
    items, has_more = found[:limit], len(found) > limit
    last = items[-1] if has_more else None
    return Page(items, cursors.encode(last.created_at, last.pk) if last else None)


def find(rows: RequestRecordQuerySet, identifier: str) -> RequestRecord | None:
    """By request id, else by the row's own id. Clients may repeat a request id: the
    newest row counts."""
    record = rows.filter(request_id=identifier[:65]).newest_first().first()
    if record is not None:
        return record
    try:
        return rows.filter(pk=UUID(identifier)).first()
    except ValueError:
        return None
