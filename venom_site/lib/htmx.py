"""HTMX helpers: the typed request and the choice between page and part."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
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


def render_page(
    request: HttpRequest,
    page: str,
    part: str,
    context: dict[str, Any],
    *,
    status: int = 200,
) -> HttpResponse:
    """`page` for a browser, `part` for an htmx swap, with `Vary: HX-Request`."""
    template = part if wants_part(request) else page
    response = render(request, template, context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response
