"""What every page shows around its content: chip, counts, theme, permissions.

A context processor, lazy throughout: a part that does not use them asks nothing.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from models_app.models import Operation
from runtime_app.services.active import chip
from runtime_app.services.alert_lists import standing
from venom_site import VERSION
from venom_site.lib.access import Principal

THEMES = ("light", "dark")
FRAME = "frame"  # a page that names no topic of its own still has chip and counts


class Can:
    """`can.operate` and its like, for templates."""

    def __init__(self, principal: Principal | None) -> None:
        self._principal = principal

    def __getattr__(self, name: str) -> bool:
        if self._principal is None:
            return False
        if name == "view_payload":
            return self._principal.may_view_payload
        return any(scope.value == name for scope in self._principal.scopes)


def nav_counts() -> dict[str, int]:
    return {"operations": Operation.objects.running().count()}


def context(request: HttpRequest) -> dict[str, Any]:
    """Somebody who is signed out learns nothing of what runs here."""
    theme = request.COOKIES.get("venom_theme", "")
    principal: Principal | None = getattr(request, "principal", None)
    return {
        "theme": theme if theme in THEMES else "",
        "chip": SimpleLazyObject(chip) if principal else None,
        "nav_counts": SimpleLazyObject(nav_counts) if principal else None,
        "standing": SimpleLazyObject(standing) if principal else None,
        "can": Can(principal),
        "product_version": VERSION,
        "live_topics": FRAME,
    }
