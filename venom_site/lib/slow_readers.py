"""A client that reads slowly holds its answer up, under daphne as under uvicorn.

uvicorn's `send` waits while the client's buffer is full. daphne's returns at once, and
Twisted keeps what was not read: all of a long answer, for every such client. Twisted
does tell a registered producer when to pause; daphne registers none, so this does.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any


class Pace:
    """A push producer, as Twisted calls it, around the `send` of one request."""

    def __init__(self, request: Any, send: Any) -> None:
        self._request = request
        self._send = send
        self._is_registered = False
        self._may_go = asyncio.Event()
        self._may_go.set()

    async def send(self, message: Any) -> None:
        more = message.get("more_body", False)
        if more and not self._is_registered and self._request.channel is not None:
            self._request.registerProducer(self, True)
            self._is_registered = True
        elif message["type"] == "http.response.body" and not more:
            self.end()  # Twisted wants to be told before the end
        await self._send(message)
        await self._may_go.wait()

    def end(self) -> None:
        """Let go of the connection, which may serve another request."""
        if self._is_registered and self._request.channel is not None:
            self._request.unregisterProducer()
        self._is_registered = False
        self._may_go.set()

    def pauseProducing(self) -> None:
        self._may_go.clear()

    def resumeProducing(self) -> None:
        self._may_go.set()

    def stopProducing(self) -> None:
        """The client has gone; who sends hears of it by `receive`."""
        self._may_go.set()


async def paced(app: Any, scope: Any, receive: Any, send: Any) -> None:
    """Serve one HTTP request; under another server than daphne exactly as without."""
    request = _request_behind(send)
    if request is None:
        await app(scope, receive, send)
        return
    pace = Pace(request, send)
    try:
        await app(scope, receive, pace.send)
    finally:
        pace.end()


def _request_behind(send: Any) -> Any:
    """Twisted's request, which daphne binds to the `send` that it gives."""
    if not isinstance(send, partial) or not send.args:
        return None
    request = send.args[0]
    return request if hasattr(request, "registerProducer") else None
