"""A server that sends given bytes and nothing else: for what no framework would write.

    with RawServer(iter([b"HTTP/1.1 200 OK\\r\\n\\r\\n", b"data: …"])) as server: …

Each piece goes out when the one before has been taken; `sent_bytes` counts them.
"""

import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterable


class RawServer:
    """Answers its first request with the pieces and closes; later ones likewise."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.sent_bytes = 0

    def __enter__(self) -> "RawServer":
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _address = self._listening.accept()
                threading.Thread(
                    target=self._serve, args=(connection,), daemon=True
                ).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            _read_request(connection)
            for piece in self._pieces:
                connection.sendall(piece)
                self.sent_bytes += len(piece)


def _read_request(connection: socket.socket) -> None:
    """All of it: what lies unread at the close resets the connection."""
    came = b""
    while b"\r\n\r\n" not in came:
        came += (piece := connection.recv(1 << 16))
        if not piece:
            return
    lines, _, body = came.partition(b"\r\n\r\n")
    sizes = re.findall(rb"(?im)^content-length: *(\d+)", lines)
    missing = int(sizes[0]) - len(body) if sizes else 0
    while missing > 0 and (piece := connection.recv(1 << 16)):
        missing -= len(piece)


def head(content_type: str, length: int | None = None) -> bytes:
    """The head of an answer; without a length it lasts until the server closes."""
    size = "" if length is None else f"Content-Length: {length}\r\n"
    text = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{size}"
    return text.encode() + b"Connection: close\r\n\r\n"


def whole(fields: dict) -> bytes:
    """A plain answer."""
    body = json.dumps(fields).encode()
    return head("application/json", len(body)) + body


def event(fields: dict) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"
