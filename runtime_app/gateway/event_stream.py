"""Server-sent events of one row, plain ASGI: no thread and no connection held.

`venom_site/asgi.py` dispatches here before Django. A stream looks at its row when an
event wakes it, and once a second in case none does; each `id:` is the reader's place,
so `Last-Event-ID` resumes without a gap. What is looked at and told is a subclass's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any, ClassVar

from runtime_app.gateway.leaving import Receive, Send, while_present
from runtime_app.governance import callers
from venom_site.lib import problems
from venom_site.lib.access import Scope
from venom_site.lib.csp import NOTHING, SECURITY_HEADERS
from venom_site.lib.errors import MethodNotAllowed, VenomError
from venom_site.lib.ids import uuid7
from venom_site.lib.listening import listening
from venom_site.lib.logging import request_id
from venom_site.lib.offloop import off_loop

LOOK_SECONDS = 1.0
HEARTBEAT_SECONDS = 10.0
ACCESS_SECONDS = 60.0


class EventStream:
    """What one reader has been sent so far. `subject` names the row's id in events."""

    subject: ClassVar[str]
    needs: ClassVar[Scope | None]

    def __init__(self, scope: dict[str, Any], send: Send, pk: str) -> None:
        self.woken = asyncio.Event()
        self._scope = scope
        self._send = send
        self._pk = pk
        self._given = (
            dict(scope["headers"]).get(b"last-event-id", b"").decode("latin-1")
        )
        self._spoke_at = self._checked_at = time.monotonic()

    @property
    def place(self) -> str:
        """The id of the next event: how much the reader has."""
        raise NotImplementedError

    async def tell(self) -> bool:
        """Send what is new; true when nothing will ever follow."""
        raise NotImplementedError

    def hear(self, event: dict[str, Any]) -> None:
        if event["data"].get(self.subject) == self._pk:
            self.woken.set()

    async def run(self) -> None:
        while not await self._look():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.woken.wait(), LOOK_SECONDS)
            self.woken.clear()

    async def _look(self) -> bool:
        if not await self._may_still_read():
            return True
        try:
            is_over = await self.tell()
        except Exception as error:  # noqa: BLE001 - a database away is looked at again
            if problems.as_venom_error(error).http_status != 503:
                return True
            is_over = False
        now = time.monotonic()
        if not is_over and now - self._spoke_at >= HEARTBEAT_SECONDS:
            await self._event("heartbeat", {self.subject: self._pk})
        return is_over

    async def _may_still_read(self) -> bool:
        now = time.monotonic()
        if now - self._checked_at <= ACCESS_SECONDS:
            return True
        self._checked_at = now
        try:
            await off_loop(callers.identify, self._scope, needs=self.needs)
        except VenomError:
            return False
        return True

    async def _event(self, name: str, content: dict[str, Any]) -> None:
        self._spoke_at = time.monotonic()
        text = f"id: {self.place}\nevent: {name}\ndata: {json.dumps(content)}\n\n"
        body = {"type": "http.response.body", "body": text.encode(), "more_body": True}
        await self._send(body)


async def serve(
    scope: dict[str, Any],
    receive: Receive,
    send: Send,
    admit: Callable[[dict[str, Any], Send], EventStream],
) -> None:
    """Answer one stream. `admit` is called in a thread and returns it, or refuses by
    an error, which becomes problem+json."""
    mark = request_id.set(str(uuid7()))
    try:
        stream = await off_loop(admit, scope, send)
    except Exception as error:  # noqa: BLE001 - the edge: as_response logs the unknown
        await _refuse(send, problems.as_venom_error(error))
        return
    finally:
        request_id.reset(mark)
    await while_present(receive, _stream(stream, send))


def refuse_other_methods(scope: dict[str, Any]) -> None:
    if scope["method"] != "GET":
        raise MethodNotAllowed


async def _refuse(send: Send, error: VenomError) -> None:
    response = problems.problem_response(error)
    response["X-Request-Id"] = request_id.get()
    if isinstance(error, MethodNotAllowed):
        response["Allow"] = "GET"
    headers = dict(response.items())
    await _start(send, error.http_status, headers)
    await send({"type": "http.response.body", "body": response.content})


async def _start(send: Send, status: int, headers: dict[str, str]) -> None:
    safe = SECURITY_HEADERS | {"Content-Security-Policy": NOTHING}
    pairs = [(n.lower().encode(), v.encode()) for n, v in (safe | headers).items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})


async def _stream(stream: EventStream, send: Send) -> None:
    headers = {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",
        "X-Request-Id": str(uuid7()),
    }
    async with listening(stream.hear):
        await _start(send, 200, headers)
        await stream.run()
    await send({"type": "http.response.body", "body": b""})
