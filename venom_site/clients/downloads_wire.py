"""The connections of one fetching thread, which another thread can end at any time.

Built on http.client and not on httpx: 400 MB over loopback cost 0.22 to 0.27 s of CPU
here and 0.42 to 1.7 s there, and the socket is ours, so that `abort` ends a connect, a
handshake or a silent read at once. TLS trusts what httpx trusts. Proxies of the
environment are not used, as everywhere.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

import httpx

from venom_site.clients.downloads_answers import host_of, origin_of
from venom_site.clients.downloads_refused import DownloadRefused, Passing

CONNECT_SECONDS = 5
SILENCE_SECONDS = 15  # then the connection is given up and made anew
CHUNK_BYTES = 256 * 1024
DRAIN_BYTES = 64 * 1024  # the rest of a refusal is read to keep the connection
CONNECTIONS = 4  # one thread's to different origins
Origin = tuple[str, str, int]
_BROKEN = (OSError, http.client.HTTPException, ValueError, AttributeError)


@cache
def _trust() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


class Answer:
    """One answer whose body has not been read; `close` it in any case."""

    def __init__(
        self, wire: Wire, origin: Origin, raw: http.client.HTTPResponse, place: str
    ) -> None:
        self._wire, self._origin, self._raw, self._place = wire, origin, raw, place
        self._is_whole = False
        self.status = raw.status
        self.headers = {name.lower(): value for name, value in raw.getheaders()}

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes, at most CHUNK_BYTES at once; raises `Passing`."""
        while True:
            try:
                chunk = self._raw.read1(CHUNK_BYTES)
            except _BROKEN as error:
                raise Passing(f"{self._place} fell silent or broke off") from error
            if not chunk:
                break
            yield chunk
        # http.client takes an early end for an end; `length` is what it still owes.
        if self._raw.length:
            raise Passing(f"{self._place} broke off")
        self._is_whole = True

    def drain(self) -> None:
        """Read the rest of a short body, so that the connection can be used again."""
        length = self._raw.length
        with suppress(Passing):
            if length is not None and length <= DRAIN_BYTES:
                for _ in self.chunks():
                    pass

    def close(self) -> None:
        is_kept = (self._is_whole or self._raw.length == 0) and not self._raw.will_close
        self._raw.close()
        if not is_kept:
            self._wire.drop(self._origin)


class Wire:
    """Kept connections, one for each origin; used by one thread, ended by any."""

    def __init__(self) -> None:
        self._kept: dict[Origin, http.client.HTTPConnection] = {}
        self._sockets: dict[Origin, socket.socket] = {}
        self._guard = threading.Lock()
        self._ended = threading.Event()

    def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """One GET, redirects not followed. Raises `Passing` or `DownloadRefused`."""
        origin = origin_of(url)
        is_used = origin in self._kept
        try:
            return self._asked(url, origin, headers)
        except Passing:
            self.drop(origin)
            if not is_used or self._ended.is_set():
                raise
        # A kept connection may have been closed by the other side meanwhile.
        return self._asked(url, origin, headers)

    def abort(self) -> None:
        """End whatever the thread waits for, now and from now on."""
        self._ended.set()
        with self._guard:
            sockets = list(self._sockets.values())
        for each in sockets:
            _shut(each)

    def drop(self, origin: Origin) -> None:
        if kept := self._kept.pop(origin, None):
            kept.close()
        with self._guard:
            opened = self._sockets.pop(origin, None)
        if opened is not None:
            opened.close()

    def close(self) -> None:
        for origin in {*self._kept, *self._sockets}:
            self.drop(origin)

    def _asked(self, url: str, origin: Origin, headers: Mapping[str, str]) -> Answer:
        place = host_of(url)
        try:
            connection = self._connection(origin)
            parts = urlsplit(url)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", target, headers=dict(headers))
            return Answer(self, origin, connection.getresponse(), place)
        except ssl.SSLCertVerificationError as error:
            raise DownloadRefused(
                "away",
                f"The certificate of {place} is not trusted: {error.verify_message}.",
                permanent=True,
            ) from error
        except TimeoutError as error:
            raise Passing(f"{place} did not answer in time") from error
        except _BROKEN as error:
            raise Passing(f"{place} does not answer ({_words(error)})") from error

    def _connection(self, origin: Origin) -> http.client.HTTPConnection:
        if kept := self._kept.get(origin):
            return kept
        if len(self._kept) >= CONNECTIONS:
            self.drop(next(iter(self._kept)))
        scheme, host, port = origin
        connection = (
            http.client.HTTPSConnection(host, port, context=_trust())
            if scheme == "https"
            else http.client.HTTPConnection(host, port)
        )
        connection.auto_open = 0  # never one that nobody could end
        connection.sock = self._connected(origin)
        self._kept[origin] = connection
        return connection

    def _connected(self, origin: Origin) -> socket.socket:
        scheme, host, port = origin
        trouble: OSError = ConnectionError("no address")
        for family, address in self._resolved(host, port):
            opened = socket.socket(family, socket.SOCK_STREAM)
            try:
                self._watch(origin, opened)
                opened.settimeout(CONNECT_SECONDS)
                opened.connect(address)
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if scheme == "https":
                    opened = self._encrypted(origin, opened, host)
                opened.settimeout(SILENCE_SECONDS)
            except OSError as error:
                self.drop(origin)
                trouble = error
                if isinstance(error, ssl.SSLCertVerificationError):
                    raise
            else:
                return opened
        raise trouble

    def _encrypted(
        self, origin: Origin, opened: socket.socket, host: str
    ) -> socket.socket:
        wrapped = _trust().wrap_socket(
            opened, server_hostname=host, do_handshake_on_connect=False
        )
        self._watch(origin, wrapped)  # wrapping has taken the plain one's place
        wrapped.do_handshake()
        return wrapped

    def _watch(self, origin: Origin, opened: socket.socket) -> None:
        with self._guard:
            self._sockets[origin] = opened
        if self._ended.is_set():
            raise ConnectionAbortedError("ended")

    def _resolved(
        self, host: str, port: int
    ) -> list[tuple[socket.AddressFamily, tuple[str | int, ...]]]:
        """Looking up a name cannot be ended: it is left to a thread that may outlive
        us, for up to half a minute on a machine without a network."""
        found: SimpleQueue[list[tuple] | OSError] = SimpleQueue()  # type: ignore[type-arg]

        def look_up() -> None:
            try:
                found.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:
                found.put(OSError(f"the name cannot be looked up: {error}"))

        asking = threading.Thread(target=look_up, name="download-name", daemon=True)
        asking.start()
        while not self._ended.is_set():
            with suppress(Empty):
                result = found.get(timeout=0.2)
                asking.join()
                if isinstance(result, OSError):
                    raise result
                return [(family, address) for family, _, _, _, address in result]
        raise ConnectionAbortedError("ended")


def _shut(opened: socket.socket) -> None:
    """Shut both ways. The plain method even for TLS: its own one takes the state from
    under a thread that reads."""
    with suppress(OSError):
        socket.socket.shutdown(opened, socket.SHUT_RDWR)


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)[:100] or type(error).__name__
