"""Server-sent events of one operation, plain ASGI: no thread and no connection held.

`GET /api/v1/models/operations/<id>/stream` is dispatched here by `venom_site/asgi.py`
before Django. Events: `log`, `operation_update`, `heartbeat`, `operation_finished`;
each `id:` is the last log row sent, so `Last-Event-ID` resumes without a gap. The row
is read when an event wakes the stream, and once a second in case none does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from dataclasses import dataclass
from typing import Any

from models_app.models import Operation
from models_app.models.operations import LOG_LINES_SHOWN
from models_app.schemas import log_line_payload, operation_payload
from models_app.services import operation_lists, operations
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

STREAM = re.compile(r"/api/v1/models/operations/(?P<pk>[^/]+)/stream")
LOOK_SECONDS = 1.0
HEARTBEAT_SECONDS = 10.0
ACCESS_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at the row found."""

    payload: dict[str, Any]
    is_finished: bool
    lines: list[tuple[int, dict[str, Any]]]


def is_stream(path: str) -> bool:
    return STREAM.fullmatch(path) is not None


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one stream; refusals are problem+json."""
    mark = request_id.set(str(uuid7()))
    try:
        pk = await off_loop(_admit, scope)
    except Exception as error:  # noqa: BLE001 - the edge: as_response logs the unknown
        await _refuse(send, problems.as_venom_error(error))
        return
    finally:
        request_id.reset(mark)
    await while_present(receive, _stream(scope, send, pk))


def _admit(scope: dict[str, Any]) -> str:
    """The id of the operation, once the caller may read it."""
    callers.identify(scope, needs=Scope.READ)
    if scope["method"] != "GET":
        raise MethodNotAllowed
    match = STREAM.fullmatch(scope["path"])
    return str(operations.get_operation(match["pk"] if match else "").pk)


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


async def _stream(scope: dict[str, Any], send: Send, pk: str) -> None:
    woken = asyncio.Event()

    def hear(event: dict[str, Any]) -> None:
        if event["data"].get("operation_id") == pk:
            woken.set()

    headers = {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",
        "X-Request-Id": str(uuid7()),
    }
    async with listening(hear):
        await _start(send, 200, headers)
        stream = Stream(scope, send, pk)
        while not await stream.look():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), LOOK_SECONDS)
            woken.clear()
    await send({"type": "http.response.body", "body": b""})


class Stream:
    """What one reader has been sent so far."""

    def __init__(self, scope: dict[str, Any], send: Send, pk: str) -> None:
        self._scope = scope
        self._send = send
        self._pk = pk
        self._last = _resume_from(scope)
        self._shown: dict[str, Any] | None = None
        self._spoke_at = self._checked_at = time.monotonic()

    async def look(self) -> bool:
        """Send what is new; true when nothing will ever follow."""
        now = time.monotonic()
        if now - self._checked_at > ACCESS_SECONDS:
            self._checked_at = now
            try:
                await off_loop(callers.identify, self._scope, needs=Scope.READ)
            except VenomError:
                return True
        try:
            found = await off_loop(_look, self._pk, self._last)
        except Exception as error:  # noqa: BLE001 - a database away is looked at again
            if problems.as_venom_error(error).http_status != 503:
                return True
            found = None
        return await self._tell(found, now) if found else await self._heartbeat(now)

    async def _tell(self, found: Look, now: float) -> bool:
        for row, line in found.lines:
            self._last = row
            await self._event("log", line)
        if found.payload != self._shown:
            self._shown = found.payload
            await self._event("operation_update", found.payload)
        if found.is_finished and len(found.lines) < LOG_LINES_SHOWN:
            await self._event("operation_finished", found.payload)
            return True
        return await self._heartbeat(now)

    async def _heartbeat(self, now: float) -> bool:
        if now - self._spoke_at >= HEARTBEAT_SECONDS:
            await self._event("heartbeat", {"operation_id": self._pk})
        return False

    async def _event(self, name: str, content: dict[str, Any]) -> None:
        self._spoke_at = time.monotonic()
        text = f"id: {self._last}\nevent: {name}\ndata: {json.dumps(content)}\n\n"
        body = {"type": "http.response.body", "body": text.encode(), "more_body": True}
        await self._send(body)


def _resume_from(scope: dict[str, Any]) -> int:
    """The log row of `Last-Event-ID`; 0, so everything, for one that is no number."""
    given = dict(scope["headers"]).get(b"last-event-id", b"")
    return int(given) if re.fullmatch(rb"[0-9]{1,18}", given) else 0


def _look(pk: str, after: int) -> Look:
    """The row first, then its log: a finished row has written all its lines."""
    operation: Operation = operations.get_operation(pk)
    lines = operation_lists.log_of(operation, after=after)
    return Look(
        payload=operation_payload(operation),
        is_finished=operation.is_finished,
        lines=[(line.pk, log_line_payload(line)) for line in lines],
    )
