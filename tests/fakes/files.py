"""A practice file server on loopback: ranges, signed links to another origin, faults.

    desk.faults.plan("model.safetensors", "cut:1000000")
    desk.signed_base = cdn.url        # 302 there for large files
    return await answer_file(request, content, desk=desk, path=…, etag=…)

`file_server.py` is a server of nothing but files; another fake answers with a desk of
its own. `sent_bytes` counts what left, `asked` who asked. Facts sheet, section 2.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from tests.fakes.file_faults import EARLY, FileFault, FileFaults
from tests.fakes.streams import stall

PIECE_BYTES = 256 * 1024
SEND_BUFFER_BYTES = 64 * 1024
SLOW_PIECE_BYTES = 16 * 1024  # so that a throttled answer comes evenly
Content = bytes | Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request for a file as it came."""

    path: str
    range: str
    authorization: str
    is_signed: bool


@dataclass(kw_only=True)
class FileDesk:
    """What is set for answers of files and what was asked; shared by both origins."""

    bytes_per_second: float = 0  # of all answers together; 0: no throttle
    signed_base: str = ""  # the other origin; empty answers directly
    link_round: int = 0  # links of an earlier round answer 403
    faults: FileFaults = field(default_factory=FileFaults)
    sent_bytes: Counter[str] = field(default_factory=Counter)
    asked: list[Asked] = field(default_factory=list)
    offered: dict[str, tuple[Content, dict[str, str]]] = field(default_factory=dict)
    _free_at: float = 0

    def expire_links(self) -> None:
        """Every signed link handed out so far is refused from now on."""
        self.link_round += 1

    @property
    def piece_bytes(self) -> int:
        return SLOW_PIECE_BYTES if self.bytes_per_second else PIECE_BYTES

    async def pace(self, count: int, speed: float) -> None:
        if not speed:
            return
        self._free_at = max(time.monotonic(), self._free_at) + count / speed
        await asyncio.sleep(self._free_at - time.monotonic())


async def answer_file(
    request: web.Request,
    content: Content,
    *,
    desk: FileDesk,
    path: str,
    etag: str,
    sha256: str = "",
    headers: Mapping[str, str] | None = None,
    is_signed: bool = False,
) -> web.StreamResponse:
    """The file or a range of it, or what a planned fault makes of it.

    `path` is the key of faults and counters. `sha256` makes it a large file: it has
    X-Linked-* and, where the desk has another origin, is answered by a redirect.
    """
    size = size_of(content)
    start, end = _asked_range(request, size)
    _note(desk, request, path, is_signed=is_signed)
    is_redirected = bool(sha256 and desk.signed_base)
    # Of two origins the second has the bytes, and the faults of the plain path.
    key = f"resolve {path}" if is_redirected else path
    fault = desk.faults.take(key, start, end)
    if fault and fault.kind in EARLY:
        return await _early(fault, request)
    if fault and fault.kind == "slow_headers":
        await asyncio.sleep(float(fault.text))
    told = {"Accept-Ranges": "bytes", **(headers or {})}
    if sha256:
        told |= {"X-Linked-Size": str(size), "X-Linked-Etag": f'"{sha256}"'}
    if is_redirected:
        desk.offered[path] = content, {"ETag": f'"cdn-{etag[:16]}"'}
        place = f"{desk.signed_base}/signed/{desk.link_round}/{path}?Signature=s3cr3t"
        return web.Response(status=302, headers=told | {"Location": place})
    told["ETag"] = f'"{etag}"'
    return await _send(request, content, desk, path, told, fault)


async def answer_signed(
    request: web.Request, *, desk: FileDesk, path: str
) -> web.StreamResponse:
    """The second origin: the bytes behind a link that has not expired."""
    if int(request.match_info["round"]) != desk.link_round:
        _note(desk, request, path, is_signed=True)
        return web.Response(status=403, text="<Error>Request has expired</Error>")
    if path not in desk.offered:
        return web.Response(status=404)
    content, headers = desk.offered[path]
    return await answer_file(
        request,
        content,
        desk=desk,
        path=path,
        etag=headers["ETag"].strip('"'),
        is_signed=True,
    )


async def _early(fault: FileFault, request: web.Request) -> web.Response:
    if fault.kind == "reset":
        assert request.transport is not None
        request.transport.abort()
        await asyncio.sleep(0)
        return web.Response()
    if fault.kind == "redirect":
        return web.Response(status=302, headers={"Location": fault.text})
    if fault.kind == "redirect_loop":
        turn = int(request.query.get("turn", 0)) + 1
        place = str(request.url.update_query(turn=turn))
        return web.Response(status=302, headers={"Location": place})
    return _refused(fault)


def _refused(fault: FileFault) -> web.Response:
    """`status:429:5` is Retry-After, `status:429:t=5` RateLimit, else an error code."""
    headers = {}
    if fault.note.startswith("t="):
        headers["RateLimit"] = f'"resolvers";r=0;{fault.note}'
    elif fault.note[:1].isdigit():
        headers["Retry-After"] = fault.note
    elif fault.note:
        headers["X-Error-Code"] = fault.note
    error = {"error": f"practice fault {fault.amount}"}
    return web.json_response(error, status=fault.amount, headers=headers)


async def _send(
    request: web.Request,
    content: Content,
    desk: FileDesk,
    path: str,
    headers: dict[str, str],
    fault: FileFault | None,
) -> web.StreamResponse:
    size = size_of(content)
    start, end = _asked_range(request, size)
    kind, amount = (fault.kind, fault.amount) if fault else ("", 0)
    is_part = "Range" in request.headers and kind != "whole"
    if not is_part:
        start, end = 0, size
    if is_part and start >= size:
        headers = {"Content-Range": f"bytes */{size}"}
        return web.Response(status=416, headers=headers)
    answer = web.StreamResponse(status=206 if is_part else 200, headers=headers)
    if is_part:
        answer.headers["Content-Range"] = _content_range(start, end, size, fault)
    if kind == "no_etag":
        del answer.headers["ETag"]
    if kind == "etag":
        answer.headers["ETag"] = f'"{fault.text if fault else ""}"'
    extra = {"long": amount, "swollen": amount, "short": -amount}.get(kind, 0)
    if kind == "chunked":
        answer.enable_chunked_encoding()
    else:
        answer.content_length = max(0, end - start + extra)
    await answer.prepare(request)
    _send_only_what_is_wanted(request)
    if request.method != "HEAD":
        until = end - amount if kind == "short" else end
        pieces = _pieces(content, start, until, desk)
        try:
            await _write(answer, pieces, desk, path, fault, start)
        except BaseException:
            _let_go(request)
            raise
        if kind in ("swollen", "chunked") and amount:
            await answer.write(b"\xee" * amount)
        if kind in ("cut", "long"):
            await _hang_up(request)
    return answer


async def _write(
    answer: web.StreamResponse,
    pieces: AsyncIterator[bytes],
    desk: FileDesk,
    path: str,
    fault: FileFault | None,
    start: int,
) -> None:
    kind, amount = (fault.kind, fault.amount) if fault else ("", 0)
    room = amount if kind in ("cut", "stall") else None
    speed = amount if kind == "throttle" else 0
    position = start
    async for piece in pieces:
        if kind == "wrong" and position <= amount < position + len(piece):
            at = amount - position
            piece = piece[:at] + bytes([piece[at] ^ 0xFF]) + piece[at + 1 :]
        if room is not None:
            piece, room = piece[:room], max(0, room - len(piece))
        await desk.pace(len(piece), speed or desk.bytes_per_second)
        await answer.write(piece)
        desk.sent_bytes[path] += len(piece)
        position += len(piece)
        if room == 0:
            break
    if kind == "stall":
        await stall()


async def _pieces(
    content: Content, start: int, end: int, desk: FileDesk
) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        while start < end:
            step = min(desk.piece_bytes, end - start)
            yield content[start : start + step]
            start += step
        return
    with content.open("rb") as file:
        file.seek(start)
        while start < end:
            piece = file.read(min(desk.piece_bytes, end - start))
            yield piece
            start += len(piece)


async def _hang_up(request: web.Request) -> None:
    """Close after what was written has gone out."""
    assert request.transport is not None
    request.transport.close()
    await asyncio.sleep(0)


def _send_only_what_is_wanted(request: web.Request) -> None:
    """What waits in this side's buffers has not been fetched, so it must not count."""
    if request.transport is not None:
        opened = request.transport.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


def _let_go(request: web.Request) -> None:
    """What is still to go out to one who has left would outlive the server."""
    if request.transport is not None:
        request.transport.abort()


def _content_range(start: int, end: int, size: int, fault: FileFault | None) -> str:
    kind, amount = (fault.kind, fault.amount) if fault else ("", 0)
    start += amount if kind == "wrong_range" else 0
    size += amount if kind == "wrong_total" else 0
    return f"bytes {start}-{end - 1}/{size}"


def _asked_range(request: web.Request, size: int) -> tuple[int, int]:
    wanted = request.headers.get("Range", "").removeprefix("bytes=")
    if not wanted:
        return 0, size
    first, _, last = wanted.partition("-")
    return int(first), min(int(last) + 1 if last else size, size)


def _note(desk: FileDesk, request: web.Request, path: str, *, is_signed: bool) -> None:
    asked = Asked(
        path=path,
        range=request.headers.get("Range", ""),
        authorization=request.headers.get("Authorization", ""),
        is_signed=is_signed,
    )
    desk.asked.append(asked)


def size_of(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def add_signed_routes(app: web.Application, desk: FileDesk) -> None:
    """The links that `answer_file` redirects to; any fake may be the second origin."""

    async def signed(request: web.Request) -> web.StreamResponse:
        return await answer_signed(request, desk=desk, path=request.match_info["path"])

    app.router.add_get("/signed/{round}/{path:.+}", signed)
