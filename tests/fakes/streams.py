"""An answer that is written line by line and may break in the middle.

The handlers of both neighbours write through `LineStream`; it knows the fault
of its request and plays it at the promised token. It knows no vendor's shape.
"""

import asyncio
from collections.abc import Callable
from typing import NoReturn

from aiohttp import web

from tests.fakes.faults import Fault, FaultKind

FAULT = web.RequestKey("fault", Fault)
GARBAGE_LINE = b'\xff{"status": 7,, <html>\n'


class CutShort(Exception):
    """The answer was broken off on purpose; `response` has been sent in part."""

    def __init__(self, response: web.StreamResponse) -> None:
        super().__init__("The answer was cut by a planned fault.")
        self.response = response


class LineStream:
    """A chunked answer of lines, with the planned fault of its request."""

    def __init__(
        self,
        request: web.Request,
        content_type: str,
        complain: Callable[[Fault], bytes] | None = None,
    ) -> None:
        """`complain` makes the vendor's error line of a fault that is one."""
        fault = request.get(FAULT)
        self._request = request
        self._complain = complain
        self._fault = fault if fault and fault.is_mid_stream else None
        self._tokens = 0
        self.response = web.StreamResponse(headers={"Content-Type": content_type})

    async def open(self) -> None:
        await self.response.prepare(self._request)

    async def send(self, line: bytes) -> None:
        await self.response.write(line)

    async def send_token(self, line: bytes) -> None:
        if self._fault and self._tokens >= self._fault.amount:
            await self._strike(self._fault, line)
        self._tokens += 1
        await self.response.write(line)

    async def end(self, *lines: bytes) -> web.StreamResponse:
        # A short answer must not escape its fault, so the last lines pay for it.
        if self._fault:
            await self._strike(self._fault, lines[0])
        for line in lines:
            await self.response.write(line)
        await self.response.write_eof()
        return self.response

    async def _strike(self, fault: Fault, line: bytes) -> None:
        if fault.kind is FaultKind.GARBAGE_LINE:
            self._fault = None  # once; the rest is as it should be
            await self.response.write(GARBAGE_LINE)
        elif fault.kind is FaultKind.END_EARLY:
            await self._leave()
        elif fault.is_error_line and self._complain:
            await self.response.write(self._complain(fault))
            await self._leave()
        else:
            await break_off(self._request, self.response, fault, line)

    async def _leave(self) -> NoReturn:
        await self.response.write_eof()
        raise CutShort(self.response)


async def break_off(
    request: web.Request, response: web.StreamResponse, fault: Fault, line: bytes
) -> NoReturn:
    """Stall until the client leaves, or close the socket as a dead server would."""
    if fault.kind is FaultKind.STALL_MID_STREAM:
        await stall()
    if fault.kind is FaultKind.CUT_MID_LINE:
        await response.write(line[: len(line) // 2])
    if request.transport is not None:
        request.transport.close()
    raise CutShort(response)


async def cut_plain(
    request: web.Request, answer: web.Response, fault: Fault
) -> NoReturn:
    """Play a mid-stream fault on an answer that is one piece: half of it arrives."""
    body = answer.body if isinstance(answer.body, bytes) else b""
    partial = web.StreamResponse(status=answer.status)
    partial.content_type, partial.content_length = answer.content_type, len(body)
    await partial.prepare(request)
    await partial.write(body[: len(body) // 2])
    await break_off(request, partial, fault, b"")


async def stall() -> NoReturn:
    """Wait until this handler is cancelled: the client left or the server stops."""
    while True:
        await asyncio.sleep(3600)
