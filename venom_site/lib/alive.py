"""`/healthz`: this process answers. Plain ASGI without database, so that it is quick.

Supervisors and load balancers ask it; whether requests can be served says `/readyz`.
"""

from __future__ import annotations

from typing import Any

from venom_site.lib.csp import NOTHING, SECURITY_HEADERS

PATH = "/healthz"
_BODY = b'{"status": "ok"}'
_HEADERS = {
    "Content-Type": "application/json",
    "Content-Length": str(len(_BODY)),
    "Cache-Control": "no-store",
    "Content-Security-Policy": NOTHING,
} | SECURITY_HEADERS


async def app(scope: Any, receive: Any, send: Any) -> None:
    is_safe = scope["method"] in ("GET", "HEAD")
    headers = _HEADERS if is_safe else {"Allow": "GET, HEAD", "Content-Length": "0"}
    body = _BODY if scope["method"] == "GET" else b""
    await send(
        {
            "type": "http.response.start",
            "status": 200 if is_safe else 405,
            "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
