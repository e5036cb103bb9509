"""The other side of a gateway benchmark: requests, and what came of them.

Bare asyncio, so that on two cores the load costs less than what it measures.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field

from bench.upstream import MODEL

CHAT = "/v1/chat/completions"
PATIENCE_SECONDS = 120


@dataclass
class Seen:
    """What one series saw. Seconds; `first` is until the first byte of the body."""

    seconds: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    tokens: int = 0
    failed: int = 0
    elapsed: float = 0.0


class Target:
    """One server and the bytes of a request to it."""

    def __init__(self, name: str, port: int, key: str = "") -> None:
        self.name, self.port, self._key = name, port, key

    def request(self, *, tokens: int, pace: int | None = None) -> bytes:
        """Plain, or a stream at `pace` tokens a second, which travels as the seed."""
        wish = {
            "model": MODEL,
            "messages": [{"role": "user", "content": "Opowiedz mi o żółwiu."}],
            "max_tokens": tokens,
        }
        if pace is not None:
            wish |= {"stream": True, "seed": pace}
        body = json.dumps(wish).encode()
        head = (
            f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Authorization: Bearer {self._key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def load(
        self, count: int, at_once: int, *, tokens: int, pace: int | None = None
    ) -> Seen:
        """`count` requests over `at_once` connections."""
        return asyncio.run(
            self._load(count, at_once, self.request(tokens=tokens, pace=pace))
        )

    async def _load(self, count: int, at_once: int, request: bytes) -> Seen:
        seen, began = Seen(), time.perf_counter()
        each = count // at_once
        work = (self._connection(each, request, seen) for _ in range(at_once))
        await asyncio.gather(*work)
        seen.elapsed = time.perf_counter() - began
        return seen

    async def _connection(self, count: int, request: bytes, seen: Seen) -> None:
        done = 0
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            for _ in range(count):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    began = time.perf_counter()
                    writer.write(request)
                    await self._answer(reader, seen, began)
                    seen.seconds.append(time.perf_counter() - began)
                    done += 1
            writer.close()
            await writer.wait_closed()
        except (OSError, EOFError, TimeoutError, ValueError):
            seen.failed += count - done

    async def _answer(
        self, reader: asyncio.StreamReader, seen: Seen, began: float
    ) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise ValueError(head)
        if b"content-length:" in head:
            length = head.split(b"content-length:")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))
            return
        tail = b""
        is_first = True
        while not tail.endswith(b"\r\n0\r\n\r\n"):
            piece = await reader.read(1 << 16)
            if not piece:
                raise EOFError
            if is_first:
                seen.first.append(time.perf_counter() - began)
                is_first = False
            seen.tokens += piece.count(b'"content"')
            tail = (tail + piece)[-7:]
