"""Which rows are wanted, and which index leads to them.

Newest first, an index answers one filter at once. Of several, the one that leaves the
fewest rows leads and the rows on its way are checked for the others; what no index
keeps in that order (a beginning, a duration) leads only while it matches few rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from history_app.querysets import (
    IS_CLOUD,
    SEARCHED,
    RequestRecordQuerySet,
    beginning_with,
)
from venom_site.lib.folded import Folded, begins_with, is_text

# Rows that are sorted instead of walked. Of a million rows a walk of 20,000 meets 80 of
# a filter that matches more than this: a page.
FEW_ROWS = 4_000


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
    is_cloud: bool = False  # the saved view
    own_key_id: str = ""  # of a caller who sees no other requests


@dataclass(frozen=True, slots=True)
class Way:
    """`lead` is walked newest first; each row is then checked for the `others`."""

    lead: Q = field(default_factory=Q)
    others: list[Q] = field(default_factory=list)


def way_to(wanted: RequestFilters) -> Way:
    """The times are no part of it: every index holds them."""
    indexed, unindexed = _indexed(wanted), _unindexed(wanted)
    few = _few_keys(wanted)
    if few is not None:
        return Way(Q(pk__in=few), indexed + unindexed)
    lead = indexed.pop(0) if indexed else Q()
    return Way(lead, indexed + unindexed)


def conditions_of(wanted: RequestFilters) -> list[Q]:
    return _indexed(wanted) + _unindexed(wanted)


def _indexed(wanted: RequestFilters) -> list[Q]:
    """Those that an index answers in order, the one that leaves fewest rows first."""
    done = wanted.status == RequestStatus.COMPLETED
    given: list[tuple[Any, Q]] = [
        (wanted.own_key_id, Q(key_id=wanted.own_key_id)),
        (wanted.session_id, is_text("session_id", wanted.session_id)),
        (wanted.error_code, Q(error_code=wanted.error_code, error_code__gt="")),
        (wanted.fallback, Q(fallback=True)),
        (wanted.status and not done, Q(status=wanted.status)),
        (wanted.key, _asked_by(wanted.key)),
        (wanted.is_cloud, IS_CLOUD),
        (wanted.model, is_text("llm_model", wanted.model)),
        (wanted.provider, Q(llm_provider=wanted.provider)),
        (done, Q(status=wanted.status)),
    ]
    return [condition for is_given, condition in given if is_given]


def _unindexed(wanted: RequestFilters) -> list[Q]:
    given: list[tuple[bool, Q]] = [
        (wanted.fallback is False, Q(fallback=False)),
        (wanted.min_duration is not None, Q(duration_seconds__gte=wanted.min_duration)),
        (bool(wanted.q), beginning_with(wanted.q)),
    ]
    return [condition for is_given, condition in given if is_given]


def _asked_by(key: str) -> Q:
    """By the id of the key; by its name when no key of that id has asked."""
    is_id = key and RequestRecord.objects.of_key(key).exists()
    return Q(key_id=key) if is_id else is_text("key_name", key)


def _few_keys(wanted: RequestFilters) -> list[UUID] | None:
    """Of the rows that a beginning or a duration matches; None when they are many."""
    if wanted.q:
        return _keys_of([beginnings(name, wanted.q) for name in SEARCHED])
    if wanted.min_duration is not None:
        slow = RequestRecord.objects.filter(duration_seconds__gte=wanted.min_duration)
        return _keys_of([slow.order_by("duration_seconds")])
    return None


def beginnings(column: str, text: str) -> RequestRecordQuerySet:
    """Ordered as the index is, so that the planner reads it and stops."""
    rows = RequestRecord.objects.filter(begins_with(column, text))
    return rows.order_by(Folded(column))


def _keys_of(found: list[RequestRecordQuerySet]) -> list[UUID] | None:
    keys = [rows.values_list("pk", flat=True) for rows in found]
    if any(some[FEW_ROWS : FEW_ROWS + 1] for some in keys):
        return None
    return list({key for some in keys for key in some})
