"""Finding requests: one set of filters for the API and the pages, and who sees what."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeGuard
from uuid import UUID

from history_app.models import RequestRecord
from history_app.querysets import RequestRecordQuerySet
from history_app.services.filters import RequestFilters, conditions_of, way_to
from venom_site.lib import cursors
from venom_site.lib.access import Principal, Scope, require

# Of rows that an index leads to but which must be checked; half a second cold (SQLite).
MOST_LOOKED_AT = 20_000
MOST_NEWS = 100
LONGEST_ANSWER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Page:
    """Not complete: the look ended at `scanned_until`, and `next_cursor` goes on."""

    items: list[RequestRecord]
    next_cursor: str | None = None
    scanned_until: datetime | None = None

    @property
    def complete(self) -> bool:
        return self.scanned_until is None


def visible_to(principal: Principal | None) -> RequestRecordQuerySet:
    """All requests with the scope `read`; a key with only `inference` sees its own."""
    if _sees_only_its_own(principal):
        return RequestRecord.objects.of_key(principal.identifier)
    require(principal, Scope.READ)
    return RequestRecord.objects.all()


def _sees_only_its_own(principal: Principal | None) -> TypeGuard[Principal]:
    return (
        principal is not None
        and principal.kind == "key"
        and principal.has(Scope.INFERENCE)
        and not principal.has(Scope.READ)
    )


def seen_by(principal: Principal | None, wanted: RequestFilters) -> RequestFilters:
    """The same wish among the requests that are the caller's to see."""
    if _sees_only_its_own(principal):
        return replace(wanted, own_key_id=principal.identifier)
    require(principal, Scope.READ)
    return wanted


def page_of(
    wanted: RequestFilters, *, limit: int, cursor: str = "", is_finished: bool = False
) -> Page:
    """One keyset page, newest first; raises `BadRequest` for a bad cursor.

    `is_finished` leaves out the open ones, which are few and newest.
    """
    way = way_to(wanted)
    rows = RequestRecord.objects.between(wanted.since, wanted.until).filter(way.lead)
    if cursor:
        place = cursors.decode(cursor)
        rows = rows.older_than(place.created_at, place.pk)
    edge = rows.key_at(MOST_LOOKED_AT - 1) if way.others else None
    if edge is not None:
        rows = rows.down_to(*edge)
    rows = rows.finished() if is_finished else rows
    found = list(rows.checked_for(way.others).newest_first().for_lists()[: limit + 1])
    if len(found) > limit:
        last = found[limit - 1]
        return Page(found[:limit], cursors.encode(last.created_at, last.pk))
    return Page(found) if edge is None else Page(found, cursors.encode(*edge), edge[0])


def running(wanted: RequestFilters, *, limit: int) -> list[RequestRecord]:
    """The open ones, newest first."""
    rows = RequestRecord.objects.running().between(wanted.since, wanted.until)
    return list(
        rows.checked_for(conditions_of(wanted)).newest_first().for_lists()[:limit]
    )


def ended_after(wanted: RequestFilters, moment: datetime) -> int:
    """How many ended later, of the newest hundred that came in at most an hour before
    it: enough to say that there is news."""
    earliest = moment - LONGEST_ANSWER
    since = max(earliest, wanted.since or earliest)
    page = page_of(replace(wanted, since=since), limit=MOST_NEWS, is_finished=True)
    return sum(
        row.finished_at is not None and row.finished_at > moment for row in page.items
    )


def find(rows: RequestRecordQuerySet, identifier: str) -> RequestRecord | None:
    """By request id, else by the row's own id. Clients may repeat a request id: the
    newest row counts."""
    record = rows.called(identifier[:65]).newest_first().first()
    if record is not None:
        return record
    try:
        return rows.filter(pk=UUID(identifier)).first()
    except ValueError:
        return None
