"""HTMX: the typed request, and whether it wants a part or a page."""

from __future__ import annotations

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from venom_site.lib.access import Principal


class VenomRequest(HttpRequest):
    """What the middleware adds: `htmx`, `principal`, `request_id`."""

    htmx: HtmxDetails
    principal: Principal | None
    request_id: str


def wants_part(request: HttpRequest) -> bool:
    """An htmx call that swaps a part; boosted and history calls get the page."""
    htmx: HtmxDetails | None = getattr(request, "htmx", None)
    if not htmx:
        return False
    return not (htmx.boosted or htmx.history_restore_request)
