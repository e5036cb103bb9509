"""The size limit for bodies that do not say how long they are.

Django writes every body to a file before anything asks for its length, and checks only
the length a client announces; a chunked one could fill the disk. Wraps Django's app.
"""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings

from venom_site.lib import problems
from venom_site.lib.csp import NOTHING, SECURITY_HEADERS
from venom_site.lib.errors import PayloadTooLarge
from venom_site.lib.ids import uuid7
from venom_site.lib.logging import request_id


def with_limit(app: Any) -> Any:
    """`app`, which reads at most DATA_UPLOAD_MAX_MEMORY_SIZE bytes of one body."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        body = _Body(receive)
        await app(scope, body.receive, send)
        if body.is_too_large:
            await _refuse(send)

    return wrapped


class _Body:
    """Counts what comes; past the limit the app is told that the client has left,
    so it answers nothing and we can."""

    def __init__(self, receive: Any) -> None:
        self._receive = receive
        self._left: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE

    @property
    def is_too_large(self) -> bool:
        return self._left < 0

    async def receive(self) -> Any:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
        return {"type": "http.disconnect"} if self.is_too_large else message


async def _refuse(send: Any) -> None:
    mark = request_id.set(str(uuid7()))
    problem = problems.problem(PayloadTooLarge())
    request_id.reset(mark)
    body = json.dumps(problem).encode()
    headers = {
        "Content-Type": problems.CONTENT_TYPE,
        "Content-Length": str(len(body)),
        "Content-Security-Policy": NOTHING,
        "X-Request-Id": problem["request_id"],
        "Connection": "close",
    } | SECURITY_HEADERS
    await send(
        {
            "type": "http.response.start",
            "status": problem["status"],
            "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
