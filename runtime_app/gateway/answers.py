"""The headers that every answer of the gateway carries, and sending whole answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from runtime_app.gateway.names import PRIMARY, Route
from runtime_app.gateway.refusals import Refusal
from runtime_app.gateway.upstream import without_credentials
from venom_site.lib.csp import NOTHING, SECURITY_HEADERS

Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = b"application/json"
_ALWAYS: Headers = [
    (b"content-security-policy", NOTHING.encode()),
    *(
        (name.lower().encode(), text.encode())
        for name, text in SECURITY_HEADERS.items()
    ),
    (b"cache-control", b"no-store"),
]
_NOBODY: Headers = [
    (b"x-venom-provider", b"none"),
    (b"x-venom-model", b"none"),
    (b"x-venom-endpoint", b"none"),
    (b"x-venom-attempts", b"0"),
]


def headers_for(
    request_id: str, route: Route | None = None, attempts: int = 0, reason: str = ""
) -> Headers:
    """Who answers, in words a header can carry; `none` where no server was asked.

    `reason` is why the first choice did not simply answer; the route's own where it
    is left out.
    """
    given = request_id.encode()  # twice: official clients read the usual name
    found = [*_ALWAYS, (b"x-venom-request-id", given), (b"x-request-id", given)]
    reason = reason or (route.reason_code if route else PRIMARY)
    if reason != PRIMARY:
        found.append((b"x-venom-reason", reason.encode()))
    if route is None:
        return found + _NOBODY
    return [
        *found,
        (b"x-venom-provider", _plain(route.runtime.provider)),
        (b"x-venom-model", _plain(route.served_name)),
        (b"x-venom-endpoint", _plain(without_credentials(route.runtime.endpoint))),
        (b"x-venom-attempts", str(attempts).encode()),
    ]


def _plain(text: str) -> bytes:
    """Header-safe: what is not printable ASCII is percent-encoded."""
    is_plain = text.isascii() and text.isprintable()
    return (text if is_plain else quote(text, safe=" /:@.-_~")).encode()


async def send_whole(
    send: Send, status: int, headers: Headers, content_type: bytes, body: bytes
) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-type", content_type), length],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def send_refusal(send: Send, refusal: Refusal, headers: Headers) -> None:
    await send_whole(
        send, refusal.status, headers + refusal.headers(), JSON, refusal.body()
    )
