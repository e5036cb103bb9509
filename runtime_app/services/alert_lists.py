"""Reading alerts: pages of the list, what stands now, what changed before one.

Used by the API, the pages and the live updates, so that an alert looks the same
everywhere. Writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from models_app.models import Operation
from runtime_app.choices import AlertSeverity, AlertState
from runtime_app.models import Alert
from venom_site.lib import cursors

MOST_BANNERS = 3
MOST_COUNTED = 100
BEFORE = timedelta(minutes=10)
MOST_BEFORE = 3
CLOSED_LATELY = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAlert:
    """An alert with the operations that began or ended shortly before it."""

    alert: Alert
    before: list[Operation]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertPage:
    """Some alerts, last seen first, and where the next page begins."""

    items: list[Alert]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What every page shows: the newest critical alerts, how many more there are, and
    the servers of all that are open, one name each (at most a hundred are counted)."""

    banners: list[Alert]
    more: int
    runtimes: list[str]

    @property
    def count(self) -> int:
        return len(self.runtimes)


def standing() -> Standing:
    loud = list(Alert.objects.loud()[:MOST_COUNTED])
    critical = [alert for alert in loud if alert.severity == AlertSeverity.CRITICAL]
    return Standing(
        banners=critical[:MOST_BANNERS],
        more=len(critical[MOST_BANNERS:]),
        runtimes=[alert.runtime for alert in loud],
    )


def list_alerts(
    *, limit: int, view: str | None = None, cursor: str | None = None
) -> AlertPage:
    """One page; without `view` all alerts. `BadRequest` for a foreign cursor."""
    rows = Alert.objects.seen_as(view) if view else Alert.objects.all()
    if cursor:
        place = cursors.decode(cursor)
        rows = rows.older_than(place.created_at, place.pk)
    found = list(rows[: limit + 1])
    items, last = found[:limit], None
    if len(found) > limit:
        last = cursors.encode(items[-1].last_seen_at, items[-1].pk)
    return AlertPage(items=items, next_cursor=last)


def summary() -> dict[str, int]:
    lately = timezone.now() - CLOSED_LATELY
    closed = Alert.objects.filter(state=AlertState.CLOSED, closed_at__gt=lately)
    return {
        "open_count": Alert.objects.loud().count(),
        "silenced_count": Alert.objects.silenced().count(),
        "closed_count": closed.count(),
    }


def last_closed_at() -> datetime | None:
    closed = Alert.objects.filter(state=AlertState.CLOSED).order_by("-closed_at")
    return closed.values_list("closed_at", flat=True).first()


def with_before(alerts: list[Alert]) -> list[ShownAlert]:
    """What changed in the ten minutes before each; one query for all of them."""
    windows = Q()
    for alert in alerts:
        windows |= _within(alert, "started_at") | _within(alert, "completed_at")
    rows = Operation.objects.filter(windows).newest_first() if alerts else ()
    operations = list(rows)
    return [
        ShownAlert(
            alert=alert,
            before=[op for op in operations if _is_before(op, alert)][:MOST_BEFORE],
        )
        for alert in alerts
    ]


def _within(alert: Alert, field: str) -> Q:
    begin, end = alert.first_seen_at - BEFORE, alert.first_seen_at
    return Q(**{f"{field}__gt": begin, f"{field}__lte": end})


def _is_before(operation: Operation, alert: Alert) -> bool:
    def fits(moment: datetime | None) -> bool:
        if moment is None:
            return False
        return timedelta(0) <= alert.first_seen_at - moment < BEFORE

    return fits(operation.started_at) or fits(operation.completed_at)
