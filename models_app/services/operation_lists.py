"""Reading operations: pages of the list and the sentence above it.

Used by the API, the pages, the terminal and the live updates, so that a list looks
the same everywhere. Writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import OuterRef, Subquery
from django.utils import timezone

from models_app.models import Operation, OperationLogLine
from models_app.models.operations import LOG_LINES_SHOWN
from models_app.services.operation_rows import COMPLETED_LINE
from venom_site.lib import cursors

LATEST = 5
ATTENTION_LASTS = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationPage:
    """Some operations, newest first, and where the next page begins."""

    items: list[Operation]
    next_cursor: str | None


def list_operations(
    *,
    limit: int,
    status: str | None = None,
    operation_type: str | None = None,
    cursor: str | None = None,
) -> OperationPage:
    """One page; raises `BadRequest` for a cursor of another making."""
    rows = Operation.objects.of_kind(status=status, operation_type=operation_type)
    rows = rows.for_display().newest_first()
    if cursor:
        place = cursors.decode(cursor)
        rows = rows.older_than(place.created_at, place.pk)
    found = list(rows[: limit + 1])
    items = with_holders(found[:limit])
    more = len(found) > limit
    last = items[-1] if more else None
    return OperationPage(
        items=items,
        next_cursor=cursors.encode(last.created_at, last.pk) if last else None,
    )


def latest(limit: int = LATEST) -> list[Operation]:
    """The newest operations, each with `newest_line` of its log that says more than
    its status (None without one)."""
    lines = OperationLogLine.objects.filter(operation=OuterRef("pk"))
    lines = lines.exclude(line=COMPLETED_LINE).order_by("-id")
    rows = Operation.objects.newest_first().annotate(
        newest_line=Subquery(lines.values("line")[:1])
    )
    return list(rows[:limit])


def with_holders(operations: list[Operation]) -> list[Operation]:
    """Fill in `waiting_for` of all with one query, and none when nobody waits."""
    wanted = {row.waiting_for_id for row in operations} - {None}
    holders = Operation.objects.in_bulk(wanted) if wanted else {}
    for row in operations:
        row.waiting_for = holders.get(row.waiting_for_id)
    return operations


def log_of(operation: Operation, *, after: int = 0) -> list[OperationLogLine]:
    """The lines after that id in order; without one, the last 500."""
    if not after:
        return operation.log_lines
    newer = operation.lines.filter(id__gt=after).order_by("id")
    return list(newer[:LOG_LINES_SHOWN])


def summary() -> dict[str, int]:
    """How many run, began today, and need somebody (failed within a day)."""
    now = timezone.now()
    today = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    recent = Operation.objects.filter(created_at__gt=now - ATTENTION_LASTS)
    return {
        "running_count": Operation.objects.running().count(),
        "today_count": Operation.objects.filter(created_at__gte=today).count(),
        "attention_count": recent.needing_attention().count(),
    }
