"""Alerts for programs: list, silence, close (docs/api.md)."""

from __future__ import annotations

from typing import Any

from ninja import Query, Router

from runtime_app.schemas import AlertQuery, SilenceBody, alert_payload
from runtime_app.services import alert_lists, alerts
from venom_site.lib.access import Scope, require
from venom_site.lib.htmx import VenomRequest

router = Router()


@router.get("", summary="List alerts, last seen first")
def list_alerts(request: VenomRequest, query: Query[AlertQuery]) -> dict[str, Any]:
    require(request.principal, Scope.READ)
    page = alert_lists.list_alerts(
        limit=query.limit, view=query.state, cursor=query.cursor
    )
    found = [alert_payload(alert) for alert in page.items]
    return {
        "success": True,
        "alerts": found,
        "count": len(found),
        "next": page.next_cursor,
    }


@router.post("/{alert_id}/silence", summary="No banner for some hours")
def silence_alert(
    request: VenomRequest, alert_id: str, body: SilenceBody | None = None
) -> dict[str, Any]:
    """It goes on counting and closes as ever."""
    actor = require(request.principal, Scope.OPERATE)
    wish = body or SilenceBody()
    alert = alerts.silence_alert(
        alert_id, hours=wish.hours, reason=wish.reason, actor=actor
    )
    return {"success": True, "alert": alert_payload(alert)}


@router.post("/{alert_id}/close", summary="Close it")
def close_alert(request: VenomRequest, alert_id: str) -> dict[str, Any]:
    """The same trouble, seen again, opens a new one."""
    actor = require(request.principal, Scope.OPERATE)
    alert = alerts.close_alert(alert_id, actor=actor)
    return {"success": True, "alert": alert_payload(alert)}
