"""What every practice neighbour is made of: its record, its faults, its refusals.

`ollama.py` and `openai_compatible.py` build their aiohttp application on this.
It counts and remembers what was asked, plays planned faults and turns a Refusal
into the vendor's error body through a Dialect; it knows no vendor itself.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from aiohttp import web

from tests.fakes.faults import Fault, FaultBoard, FaultKind, parse_fault
from tests.fakes.streams import FAULT, CutShort, cut_plain, stall

CONTROL = "/__practice__"
# A field of a body, `{model: fault}`: planned faults go to whoever comes next, which
# is no use where many ask at once.
WISHED_FAULTS = "practice_faults"
MAX_BODY_BYTES = 64 * 2**20
GARBAGE = b'\x00\xfe{"half": "an answer\n<html>not JSON, not SSE</html>'
HTML = "<!doctype html><title>Sign in</title><p>Please sign in to this network.</p>"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refusal(Exception):
    """An error answer; the neighbour's Dialect chooses the shape of its body."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.kind, self.param = status, message, kind, param


class Dialect(Protocol):
    """How one vendor says no."""

    def refuse(self, request: web.Request, refusal: Refusal) -> web.Response: ...

    def fault(self, request: web.Request, status: int, model: str) -> web.Response: ...

    def not_found(self, request: web.Request) -> web.Response: ...

    def wrong_method(self, request: web.Request) -> web.Response: ...


@dataclass(kw_only=True)
class NeighbourState:
    """What a neighbour is set to and what it has seen; tests hold the same object.

    Only the server's loop writes the record; a test reads it from its own thread.
    """

    # The fields that the control door may set.
    settings: ClassVar[tuple[str, ...]] = ("tokens_per_second", "answer_tokens")

    version: str
    tokens_per_second: float = 0  # 0: as fast as the loop turns
    answer_tokens: int | None = None  # None: the prompt decides
    faults: FaultBoard = field(default_factory=FaultBoard)
    requests: Counter[str] = field(default_factory=Counter)
    last_bodies: dict[str, Any] = field(default_factory=dict)
    last_headers: dict[str, dict[str, str]] = field(default_factory=dict)
    in_flight: int = 0
    cancelled: int = 0
    cancelled_at: list[float] = field(default_factory=list)  # by time.monotonic()
    is_stopping: bool = False

    def model_names(self) -> list[str]:
        raise NotImplementedError

    def add_model(self, name: str) -> None:
        raise NotImplementedError

    def remove_model(self, name: str) -> None:
        raise NotImplementedError

    def figures(self) -> dict[str, Any]:
        """What this kind of neighbour adds to what the control door shows."""
        return {}

    def started(self) -> None:
        """The server listens (again); what only lived in its memory is gone."""
        self.is_stopping = False

    async def pace(self, tokens: int = 1) -> None:
        """Wait as long as that many tokens take; always lets a cancellation in."""
        speed = self.tokens_per_second
        await asyncio.sleep(tokens / speed if speed else 0)

    def remember(self, request: web.Request, body: bytes) -> Any:
        """Note the request; returns its body, as JSON where it is that."""
        self.requests[request.path] += 1
        self.last_headers[request.path] = dict(request.headers)
        try:
            found = json.loads(body) if body else None
        except ValueError:
            found = body.decode("utf-8", "replace")
        self.last_bodies[request.path] = found
        return found


def build_application(state: NeighbourState, dialect: Dialect) -> web.Application:
    """Return an application without routes that records, breaks and refuses."""
    app = web.Application(
        middlewares=[_observer(state, dialect)], client_max_size=MAX_BODY_BYTES
    )

    async def on_startup(_: web.Application) -> None:
        state.started()

    async def on_shutdown(_: web.Application) -> None:
        state.is_stopping = True

    app.on_startup.append(on_startup)
    app.on_shutdown.append(on_shutdown)
    return app


def _observer(state: NeighbourState, dialect: Dialect) -> Any:
    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(CONTROL):
            return await _handle(dialect, request, handler)
        state.in_flight += 1
        try:
            body = state.remember(request, await request.read())
            fault = state.faults.take(request.path) or _wished_fault(body)
            return await _answer(fault, state, dialect, request, handler)
        except CutShort as cut:
            return cut.response
        except (asyncio.CancelledError, ConnectionResetError):
            # Stopping the server cancels its handlers too; that is no lost client.
            if not state.is_stopping:
                state.cancelled += 1
                state.cancelled_at.append(time.monotonic())
            raise
        finally:
            state.in_flight -= 1

    return observe


def _wished_fault(body: Any) -> Fault | None:
    """The fault that a body wishes for the model it names."""
    wished = body.get(WISHED_FAULTS, {}) if isinstance(body, dict) else {}
    text = wished.get(body.get("model")) if wished else None
    return parse_fault(text) if text else None


async def _answer(
    fault: Fault | None,
    state: NeighbourState,
    dialect: Dialect,
    request: web.Request,
    handler: Handler,
) -> web.StreamResponse:
    if fault is None:
        return await _handle(dialect, request, handler)
    request[FAULT] = fault
    early = await _before_the_first_byte(fault, dialect, state, request)
    answer = early or await _handle(dialect, request, handler)
    if not (fault.is_mid_stream and isinstance(answer, web.Response)):
        return answer
    if not fault.is_error_line:
        await cut_plain(request, answer, fault)
    return answer if answer.status >= 400 else dialect.fault(request, 500, "")


async def _before_the_first_byte(
    fault: Fault, dialect: Dialect, state: NeighbourState, request: web.Request
) -> web.Response | None:
    if fault.kind is FaultKind.STALL_BEFORE_FIRST_BYTE:
        await stall()
    if fault.kind is FaultKind.SLOW_HEADERS:
        await asyncio.sleep(fault.amount)
    if fault.kind is FaultKind.STATUS:
        body = state.last_bodies.get(request.path)
        model = body.get("model", "") if isinstance(body, dict) else ""
        return dialect.fault(request, int(fault.amount), str(model))
    if fault.kind is FaultKind.GARBAGE:
        return web.Response(body=GARBAGE, content_type="application/json")
    if fault.kind is FaultKind.HTML:
        status = int(fault.amount)
        return web.Response(status=status, text=HTML, content_type="text/html")
    if fault.kind is FaultKind.REDIRECT_LOOP:
        return web.Response(status=307, headers={"Location": request.path_qs})
    if fault.kind is FaultKind.UNSUPPORTED:
        # No vendor's error body: something that does not know this route at all.
        reason = web.Response(status=int(fault.amount)).reason
        text = f"{int(fault.amount)} {reason}".lower()
        return web.Response(status=int(fault.amount), text=text)
    return None


async def _handle(
    dialect: Dialect, request: web.Request, handler: Handler
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        return dialect.refuse(request, refusal)
    except web.HTTPNotFound:
        return dialect.not_found(request)
    except web.HTTPMethodNotAllowed:
        return dialect.wrong_method(request)
