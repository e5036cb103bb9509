"""HTMX: the typed request, whether it wants a part or a page, and answers to buttons.

A button answers a script with the part it changed and a toast, and a browser without
one by sending it back where it came from, where the message waits.
"""

from __future__ import annotations

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString
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


def toast(request: HttpRequest, text: str, *, url: str = "", url_text: str = "") -> str:
    """A message about one's own action, to be swapped out of band."""
    words = {"level": "success", "text": text, "url": url, "url_text": url_text}
    shown = render_to_string("_toast.html", words, request=request)
    return SafeString(f'<div id="toasts" hx-swap-oob="beforeend">{shown}</div>')


def back_to(request: HttpRequest, otherwise: str) -> str:
    """The page the button stood on, if it is one of ours."""
    referer = request.headers.get("Referer", "")
    ours = {request.get_host()}
    if url_has_allowed_host_and_scheme(
        referer, allowed_hosts=ours, require_https=request.is_secure()
    ):
        return referer
    return otherwise
