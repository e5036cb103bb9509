"""What came back from a server: status and headers, and the body as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from runtime_app.gateway.upstream_connection import Connection, UpstreamCut

_MOST_ERROR_BYTES = 1 << 20
MOST_ANSWER_BYTES = 256 << 20
_SETTLE_SECONDS = 1.0


class UpstreamAnswer:
    """Status and headers are here; the body is read piece by piece or whole."""

    def __init__(self, connection: Connection, give_back: Callable[[], None]) -> None:
        self._connection = connection
        self._give_back = give_back
        self._is_closed = False
        headers = connection.headers
        self.status = connection.status
        kind = headers.get(b"content-type", b"application/json")
        self.content_type = kind.decode("latin-1")
        again = headers.get(b"retry-after")
        self.retry_after = None if again is None else again.decode("latin-1")

    @property
    def is_event_stream(self) -> bool:
        return self.content_type.startswith("text/event-stream")

    async def next_piece(self) -> bytes:
        """Bytes as they come, empty at the end; `UpstreamCut` when it ends too soon."""
        return await self._connection.next_piece()

    async def whole(
        self,
        most: int = MOST_ANSWER_BYTES,
        on_piece: Callable[[], None] = lambda: None,
    ) -> bytes:
        """The rest of the body; `on_piece` is called for each part but the last."""
        parts, size = [], 0
        while piece := await self._connection.next_piece():
            if not self._connection.is_whole:
                on_piece()
            size += len(piece)
            if size > most:
                raise UpstreamCut
            parts.append(piece)
        return b"".join(parts)

    async def error_text(self) -> bytes:
        """The body of an error answer, or what of it could be read."""
        try:
            return await self.whole(_MOST_ERROR_BYTES)
        except UpstreamCut:
            return b""

    async def settle(self) -> None:
        """Wait a moment for the end after the last useful byte, so that the connection
        can be used again."""
        try:
            async with asyncio.timeout(_SETTLE_SECONDS):
                while await self.next_piece():
                    pass
        except (UpstreamCut, TimeoutError):
            return

    def close(self) -> None:
        """Give the connection back when the body is read, else close it: the server
        sees the close and stops working."""
        if not self._is_closed:
            self._is_closed = True
            self._give_back()
