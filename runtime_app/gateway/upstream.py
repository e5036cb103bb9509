"""The wire to the servers that run models: the only file that knows aiohttp.

One pool per server, kept by the event loop that made it. A connection that the server
closed while it was idle is replaced once (vLLM closes after five seconds of idling;
maximhq/bifrost#1305 lost every second call to that). No proxies, no cookies, no
redirects, no credentials but the server's own.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

# aiohttp warns about bytes above this size: it would write them in one go.
_LARGE_BODY = 1 << 20
# A connection closed while idle fails at once; a later failure was a real answer lost.
_STALE_SECONDS = 1.0
_MOST_ERROR_BYTES = 1 << 20
MOST_ANSWER_BYTES = 256 << 20
_SETTLE_SECONDS = 1.0


class UpstreamFailed(Exception):
    """No byte of an answer came. `kind`: offline, timeout, closed, malformed."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class UpstreamCut(Exception):
    """The answer began and did not end."""


class UpstreamAnswer:
    """Status and headers are here; the body is read piece by piece or whole."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.content_type = response.headers.get("Content-Type", "application/json")
        self.retry_after = response.headers.get("Retry-After")

    @property
    def is_event_stream(self) -> bool:
        return self.content_type.startswith("text/event-stream")

    async def next_piece(self) -> bytes:
        """Bytes as they come, empty at the end; `UpstreamCut` when it ends too soon."""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamCut from error

    async def whole(
        self,
        most: int = MOST_ANSWER_BYTES,
        on_piece: Callable[[], None] = lambda: None,
    ) -> bytes:
        """The rest of the body; `on_piece` is called for each part of it."""
        parts, size = [], 0
        while piece := await self.next_piece():
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
        self._response.close()


class Upstream:
    """One server: a pool, and a way past the pool for the one repetition."""

    def __init__(self, endpoint: str, connect_seconds: float) -> None:
        self._endpoint = endpoint
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_read=None, sock_connect=connect_seconds
        )
        self._urls: dict[str, URL] = {}
        self._pooled = self._session(aiohttp.TCPConnector(limit=0, ttl_dns_cache=30))
        self._fresh: aiohttp.ClientSession | None = None

    async def post(self, path: str, body: bytes, key: str | None) -> UpstreamAnswer:
        """Send once; a second time when an idle connection turned out to be closed."""
        trace = SimpleNamespace(is_reused=False)
        began = time.monotonic()
        try:
            return await self._send(self._pooled, path, body, key, trace)
        except UpstreamFailed as failure:
            was_stale = failure.kind == "closed" and trace.is_reused
            if not was_stale or time.monotonic() - began > _STALE_SECONDS:
                raise
        if self._fresh is None:
            self._fresh = self._session(aiohttp.TCPConnector(limit=0, force_close=True))
        return await self._send(self._fresh, path, body, key, trace)

    async def close(self) -> None:
        await self._pooled.close()
        if self._fresh is not None:
            await self._fresh.close()

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_reuseconn.append(_mark_reused)
        return aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[tracing],
            trust_env=False,
            headers={
                "User-Agent": "venom",
                "Content-Type": "application/json",
                "Accept-Encoding": "identity",
            },
        )

    async def _send(
        self,
        session: aiohttp.ClientSession,
        path: str,
        body: bytes,
        key: str | None,
        trace: SimpleNamespace,
    ) -> UpstreamAnswer:
        try:
            response = await session.post(
                self._url(path),
                data=io.BytesIO(body) if len(body) > _LARGE_BODY else body,
                headers={"Authorization": f"Bearer {key}"} if key else None,
                allow_redirects=False,
                trace_request_ctx=trace,
            )
        except aiohttp.ClientConnectorError as error:
            raise UpstreamFailed("offline") from error
        except TimeoutError as error:
            raise UpstreamFailed("timeout") from error
        except aiohttp.ClientResponseError as error:
            raise UpstreamFailed("malformed") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamFailed("closed") from error
        return UpstreamAnswer(response)

    def _url(self, path: str) -> URL:
        """`/v1/chat/completions` under this endpoint, which ends in its own `/v1`."""
        if path not in self._urls:
            address = self._endpoint + path.removeprefix("/v1")
            self._urls[path] = URL(address, encoded=True)
        return self._urls[path]


async def _mark_reused(_session: Any, context: Any, _params: Any) -> None:
    context.trace_request_ctx.is_reused = True


class Upstreams:
    """The pools of one event loop, made at first use."""

    def __init__(self, connect_seconds: float) -> None:
        self._connect_seconds = connect_seconds
        self._pools: dict[str, Upstream] = {}

    def at(self, endpoint: str) -> Upstream:
        pool = self._pools.get(endpoint)
        if pool is None:
            pool = Upstream(endpoint, self._connect_seconds)
            self._pools[endpoint] = pool
        return pool

    async def close(self) -> None:
        pools, self._pools = list(self._pools.values()), {}
        await asyncio.gather(*(pool.close() for pool in pools))


@lru_cache(maxsize=256)
def without_credentials(endpoint: str) -> str:
    """The address as it may be shown: no user name, no password, no query."""
    parts = urlsplit(endpoint)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()
