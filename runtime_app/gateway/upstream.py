"""The wire to the servers that run models: a pool of connections for each.

Kept by the event loop that made it. A connection that the server closed while it was
idle is replaced once (vLLM closes after five seconds of idling; maximhq/bifrost#1305
lost every second call to that). No proxies, no cookies, no redirects, no credentials
but the server's own. What one connection does stands in `upstream_connection.py`.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import time
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

from aiohappyeyeballs import start_connection

from runtime_app.gateway.upstream_answer import UpstreamAnswer
from runtime_app.gateway.upstream_connection import (
    Connection,
    UpstreamCut,
    UpstreamFailed,
)

__all__ = [
    "Upstream",
    "UpstreamAnswer",
    "UpstreamCut",
    "UpstreamFailed",
    "Upstreams",
    "without_credentials",
]

# A connection closed while idle fails at once; a later failure was a real answer lost.
_STALE_SECONDS = 1.0
# An idle one is not kept longer: whoever stands in between may have forgotten it.
_IDLE_SECONDS = 15.0
_NEXT_ADDRESS_SECONDS = 0.25
_PATH_SAFE = "/%:@!$&'()*+,;=~-._"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Upstream:
    """One server: how a request to it begins, and its idle connections."""

    def __init__(self, endpoint: str, connect_seconds: float) -> None:
        self._connect_seconds = connect_seconds
        self._address = urlsplit(endpoint)
        self._host = self._address.hostname or ""
        self._port = self._address.port or _DEFAULT_PORTS[self._address.scheme]
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._heads: dict[tuple[str, str | None], bytes] = {}

    async def post(self, path: str, body: bytes, key: str | None) -> UpstreamAnswer:
        """Send once; a second time when an idle connection turned out to be closed."""
        head = self._head(path, key) + b"%d\r\n\r\n" % len(body)
        connection = self._take()
        if connection is not None:
            began = time.monotonic()
            try:
                return await self._ask(connection, head, body)
            except UpstreamFailed as failure:
                was_stale = failure.kind == "closed" and not connection.has_heard
                if not was_stale or time.monotonic() - began > _STALE_SECONDS:
                    raise
        return await self._ask(await self._connect(), head, body)

    async def close(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in (*self._idle, *self._busy):
            connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # transports end in the next round of the loop

    async def _ask(
        self, connection: Connection, head: bytes, body: bytes
    ) -> UpstreamAnswer:
        self._busy.add(connection)
        try:
            connection.send(head, body)
            await connection.head()
        except BaseException:
            self._busy.discard(connection)
            connection.abort()
            raise
        return UpstreamAnswer(connection, lambda: self._give_back(connection))

    # The pool

    def _take(self) -> Connection | None:
        """The one used last: the others may end of themselves."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    def _give_back(self, connection: Connection) -> None:
        self._busy.discard(connection)
        if not connection.end():
            return
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep_later()

    def _sweep_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = loop.call_later(_IDLE_SECONDS, self._sweep_idle)

    def _sweep_idle(self) -> None:
        self._sweep = None
        latest = time.monotonic() - _IDLE_SECONDS
        for connection in self._idle:
            if connection.idle_since <= latest:
                connection.abort()
        self._idle = [each for each in self._idle if each.is_open]
        if self._idle:
            self._sweep_later()

    # A new connection

    async def _connect(self) -> Connection:
        """From the name to the end of the TLS greeting."""
        try:
            async with asyncio.timeout(self._connect_seconds):
                return await self._connected()
        except TimeoutError as error:
            raise UpstreamFailed("timeout") from error
        except (OSError, UnicodeError) as error:  # names, refusals, TLS
            raise UpstreamFailed("offline") from error

    async def _connected(self) -> Connection:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        plain = await start_connection(
            found, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, interleave=1, loop=loop
        )
        is_tls = self._address.scheme == "https"
        try:
            _transport, connection = await loop.create_connection(
                Connection,
                sock=plain,
                ssl=_tls() if is_tls else None,
                server_hostname=self._host if is_tls else None,
            )
        except BaseException:
            plain.close()
            raise
        return connection

    # The beginning of a request

    def _head(self, path: str, key: str | None) -> bytes:
        """Up to the length of the body."""
        known = self._heads.get((path, key))
        if known is None:
            if len(self._heads) > 64:
                self._heads.clear()
            known = self._heads[(path, key)] = self._written_head(path, key)
        return known

    def _written_head(self, path: str, key: str | None) -> bytes:
        """`/v1/chat/completions` under this endpoint, which ends in its own `/v1`."""
        target = quote(self._address.path + path.removeprefix("/v1"), safe=_PATH_SAFE)
        lines = [
            f"POST {target} HTTP/1.1",
            f"Host: {self._shown_host()}",
            "User-Agent: venom",
            "Accept: */*",
            "Accept-Encoding: identity",
            "Content-Type: application/json",
        ]
        if authorization := self._authorization(key):
            lines.append(f"Authorization: {authorization}")
        return ("\r\n".join(lines) + "\r\nContent-Length: ").encode("latin-1")

    def _shown_host(self) -> str:
        host = self._host.encode("idna").decode() if ":" not in self._host else ""
        host = host or f"[{self._host}]"
        is_usual = self._port == _DEFAULT_PORTS[self._address.scheme]
        return host if is_usual else f"{host}:{self._port}"

    def _authorization(self, key: str | None) -> str:
        """The key, else the name and password of the address."""
        if key:
            return f"Bearer {key}"
        if self._address.username is None:
            return ""
        name = unquote(self._address.username)
        word = f"{name}:{unquote(self._address.password or '')}"
        return f"Basic {base64.b64encode(word.encode()).decode()}"


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


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Made once: reading the certificates of the machine takes 20 ms."""
    return ssl.create_default_context()


@lru_cache(maxsize=256)
def without_credentials(endpoint: str) -> str:
    """The address as it may be shown: no user name, no password, no query."""
    parts = urlsplit(endpoint)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()
