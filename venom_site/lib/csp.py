"""The Content-Security-Policy and its companions, on every answer.

Pages, the admin and the API browser load only their own files and no inline code; an
answer of the API loads nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

PAGES = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"

SECURITY_HEADERS: dict[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def policy_for(path: str) -> str:
    return NOTHING if path.startswith("/api/v1/") else PAGES


class ContentSecurityPolicyMiddleware:
    """Django middleware; the plain ASGI parts add the same headers themselves."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", policy_for(request.path))
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        return response
