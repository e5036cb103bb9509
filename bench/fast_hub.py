"""A hub on loopback that is no bottleneck: one thread a connection, os.sendfile.

    python -m bench.fast_hub FOLDER PORT

Serves the files of FOLDER as the model bench/model in the shapes that huggingface_hub
2.4 asks for: revision, tree, HEAD and GET of resolve with ranges. Nothing is redirected
and nothing is checked. Ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import socket
import sys
import threading
from pathlib import Path
from urllib.parse import unquote

COMMIT = "c0ffee" + "0" * 34
NAME = "bench/model"
RANGE = re.compile(rb"\r\nrange: bytes=(\d+)-(\d*)", re.IGNORECASE)
REASONS = {200: "OK", 206: "Partial Content", 404: "Not Found"}


class Served:
    """One file, its descriptor open and its SHA-256 known."""

    def __init__(self, folder: Path, path: Path) -> None:
        self.path = str(path.relative_to(folder))
        self.fd = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self.fd).st_size
        with path.open("rb") as file:
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def entry(self) -> dict:
        lfs = {"oid": self.sha256, "size": self.size, "pointerSize": 135}
        oid = self.sha256[:40]
        return {
            "type": "file",
            "oid": oid,
            "size": self.size,
            "path": self.path,
            "lfs": lfs,
        }


class FastHub:
    def __init__(self, folder: Path) -> None:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        self.files = {s.path: s for s in (Served(folder, path) for path in paths)}

    def serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, contextlib.suppress(OSError):
            while request := _head(connection):
                self._answer(connection, request)

    def _answer(self, connection: socket.socket, request: bytes) -> None:
        method, target, _ = request.split(b" ", 2)
        path = unquote(target.decode().partition("?")[0])
        if path.startswith("/api/"):
            body = json.dumps(self._listed(path)).encode()
            told = {"Content-Type": "application/json", "Content-Length": len(body)}
            connection.sendall(_status(200, told) + body)
        else:
            served = self.files.get(path.partition(f"/resolve/{COMMIT}/")[2])
            self._send(connection, request, served, is_head=method == b"HEAD")

    def _listed(self, path: str) -> object:
        entries = [served.entry for served in self.files.values()]
        if "/tree/" in path:
            return entries
        names = [{"rfilename": entry["path"]} for entry in entries]
        return {"id": NAME, "sha": COMMIT, "siblings": names, "private": False}

    def _send(
        self,
        connection: socket.socket,
        request: bytes,
        served: Served | None,
        *,
        is_head: bool,
    ) -> None:
        if served is None:
            connection.sendall(_status(404, {"Content-Length": 0}))
            return
        asked = RANGE.search(request)
        start = int(asked[1]) if asked else 0
        end = int(asked[2]) + 1 if asked and asked[2] else served.size
        told = {
            "ETag": f'"{served.sha256}"',
            "X-Repo-Commit": COMMIT,
            "X-Linked-Size": served.size,
            "X-Linked-Etag": f'"{served.sha256}"',
            "Accept-Ranges": "bytes",
            "Content-Length": end - start,
        }
        if asked:
            told["Content-Range"] = f"bytes {start}-{end - 1}/{served.size}"
        connection.sendall(_status(206 if asked else 200, told))
        while start < end and not is_head:
            start += os.sendfile(connection.fileno(), served.fd, start, end - start)


def _head(connection: socket.socket) -> bytes:
    """The head of the next request; empty when the client has left."""
    came = b""
    while b"\r\n\r\n" not in came:
        piece = connection.recv(65536)
        if not piece:
            return b""
        came += piece
    return came


def _status(status: int, headers: dict) -> bytes:
    lines = [f"HTTP/1.1 {status} {REASONS[status]}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def main() -> None:
    hub = FastHub(Path(sys.argv[1]))
    listener = socket.create_server(("127.0.0.1", int(sys.argv[2])), backlog=64)
    print(listener.getsockname()[1], flush=True)

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=hub.serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
