"""One connection to a server that runs models: HTTP/1.1 over an asyncio transport.

`upstream.py` opens it and sends requests on it, one after the other. llhttp reads what
comes (through httptools, as uvicorn does); a general client costs more than everything
else a request needs here (docs/benchmarks.md).
"""

from __future__ import annotations

import asyncio
from typing import cast

import httptools

# One piece costs a system call less than two; a large body is not copied for that.
_MOST_JOINED_BYTES = 1 << 16
# What may wait here unread before the server is held up.
_MOST_WAITING_BYTES = 1 << 18
_MOST_HEAD_BYTES = 1 << 16
_WITHOUT_BODY = frozenset({204, 304})


class UpstreamFailed(Exception):
    """No byte of an answer came. `kind`: offline, timeout, closed, malformed."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class UpstreamCut(Exception):
    """The answer began and did not end."""


class Connection(asyncio.Protocol):
    """At most one answer at a time. `is_open` says whether another may be asked for."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.idle_since = 0.0
        self._is_lost = False
        self._is_asked = False
        self._begin()

    def _begin(self) -> None:
        """Nothing of an answer is here."""
        self._parser = httptools.HttpResponseParser(self)
        self.headers: dict[bytes, bytes] = {}
        self.status = 0
        self.has_heard = False
        self._head_bytes = 0
        self._has_head = False
        self._lasts_until_close = False
        self._is_whole = False
        self._is_broken = False
        self._is_reusable = False
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._is_paused = False

    # What `upstream.py` calls

    @property
    def is_open(self) -> bool:
        """Whether a further request may be sent: whole answers, kept alive."""
        transport = self._transport
        return (
            not (self._is_lost or self._is_broken or self._is_asked)
            and transport is not None
            and not transport.is_closing()
        )

    @property
    def is_whole(self) -> bool:
        """Whether the end of the answer is here, read or not."""
        return self._is_whole

    def send(self, head: bytes, body: bytes) -> None:
        self._begin()
        self._is_asked = True
        transport = cast(asyncio.Transport, self._transport)
        if len(body) <= _MOST_JOINED_BYTES:
            transport.write(head + body)
        else:
            transport.writelines((head, body))

    async def head(self) -> None:
        """Until status and headers are here; raises `UpstreamFailed`."""
        while not self._has_head:
            if self._is_broken:
                raise UpstreamFailed("malformed")
            if self._is_lost:
                raise UpstreamFailed("closed")
            await self._wait()

    async def next_piece(self) -> bytes:
        """All that has come of the body, empty at its end; raises `UpstreamCut`."""
        while not self._pieces:
            if self._is_whole:
                return b""
            if self._is_broken or self._is_lost:
                raise UpstreamCut
            await self._wait()
        pieces, self._pieces, self._waiting_bytes = self._pieces, [], 0
        if self._is_paused:
            self._is_paused = False
            cast(asyncio.Transport, self._transport).resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def end(self) -> bool:
        """The answer is done with: True when the connection can be asked again, else
        it is closed, and the server sees that at once."""
        self._is_asked = False
        if self._is_whole and self._is_reusable and self.is_open:
            return True
        self.abort()
        return False

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self._is_asked or self._is_whole:
            # Nobody asked: what this is cannot be known, so nothing more is sent here.
            self._is_reusable = False
            self._is_broken = True
            self.abort()
            return
        self.has_heard = True
        if not self._has_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._break()
        if not self._has_head and self._head_bytes > _MOST_HEAD_BYTES:
            self._break()
        self._wake()

    def eof_received(self) -> bool:
        if self._lasts_until_close and not self._is_broken:
            self._is_whole = True
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._is_lost = True
        self._wake()

    # What the parser calls

    def on_message_begin(self) -> None:
        if self._is_whole:  # a second answer to one request
            self._break()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:  # else a trailer
            self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        if self._has_head:
            return
        status = self._parser.get_status_code()
        if status < 200:  # the real head follows
            self.headers = {}
            return
        self.status, self._has_head = status, True
        self._is_reusable = self._parser.should_keep_alive()
        has_length = b"content-length" in self.headers
        is_chunked = b"transfer-encoding" in self.headers
        if not (has_length or is_chunked or status in _WITHOUT_BODY):
            self._lasts_until_close, self._is_reusable = True, False

    def on_body(self, body: bytes) -> None:
        if self._is_whole:
            return
        self._pieces.append(body)
        self._waiting_bytes += len(body)
        if self._waiting_bytes > _MOST_WAITING_BYTES and not self._is_paused:
            self._is_paused = True
            cast(asyncio.Transport, self._transport).pause_reading()

    def on_message_complete(self) -> None:
        if self._has_head:
            self._is_whole = True

    # Waiting

    def _break(self) -> None:
        self._is_broken, self._is_reusable = True, False

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
