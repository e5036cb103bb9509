"""A model server that costs next to nothing: what a gateway adds shows beside it.

    python -m bench.upstream --port 9100

Plain answers at once; streams of `max_tokens` tokens at a pace of `seed` tokens a
second (0: all at once). Usage comes where it is asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping

MODEL = "practice-7b"
_HEAD = b"HTTP/1.1 %d OK\r\nContent-Type: %s\r\n"
_CHUNK = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": MODEL,
}
TOKEN = {"index": 0, "delta": {"content": " żółw"}, "finish_reason": None}
LAST = {"index": 0, "delta": {}, "finish_reason": "stop"}


def event(**fields: object) -> bytes:
    return b"data: " + json.dumps({**_CHUNK, **fields}).encode() + b"\n\n"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


TOKEN_CHUNK = chunked(event(choices=[TOKEN]))


def usage_of(tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": 12,
        "completion_tokens": tokens,
        "total_tokens": 12 + tokens,
    }


class Connection(asyncio.Protocol):
    """One keep-alive connection; answers a request when its body is whole."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.waiting = b""

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        while b"\r\n\r\n" in self.waiting:
            head, _, rest = self.waiting.partition(b"\r\n\r\n")
            headers = head.lower().split(b"\r\n")
            length = number(headers, b"content-length:")
            if len(rest) < length:
                return
            self.waiting = rest[length:]
            self.answer(headers, rest[:length])

    def answer(self, headers: list[bytes], body: bytes) -> None:
        if headers[0].startswith(b"get"):
            models = {"object": "list", "data": [{"id": MODEL, "object": "model"}]}
            self.plain(models)
            return
        wish = json.loads(body)
        tokens = wish.get("max_tokens", 8)
        if not wish.get("stream"):
            self.plain(whole_answer(tokens))
            return
        options = wish.get("stream_options") or {}
        pace = wish.get("seed") or 0  # gateways hand it on; headers they do not
        Stream(self.transport, tokens, pace, bool(options.get("include_usage")))

    def plain(self, fields: Mapping[str, object]) -> None:
        body = json.dumps(fields).encode()
        head = _HEAD % (200, b"application/json")
        self.transport.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def number(headers: list[bytes], name: bytes) -> int:
    found = (line[len(name) :] for line in headers if line.startswith(name))
    return int(next(found, b"0"))


def whole_answer(tokens: int) -> dict[str, object]:
    message = {"role": "assistant", "content": " żółw" * tokens}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [choice],
        "usage": usage_of(tokens),
    }


class Stream:
    """One answer, token by token, on its own clock: a late token is not a lost one."""

    def __init__(
        self, transport: asyncio.Transport, tokens: int, pace: int, with_usage: bool
    ) -> None:
        self.transport, self.left, self.with_usage = transport, tokens, with_usage
        self.tokens, self.gap = tokens, 1 / pace if pace else 0.0
        self.loop = asyncio.get_running_loop()
        head = _HEAD % (200, b"text/event-stream")
        transport.write(head + b"Transfer-Encoding: chunked\r\n\r\n")
        self.due = self.loop.time()
        self.tick()

    def tick(self) -> None:
        if self.transport.is_closing():
            return
        if not self.gap:
            self.transport.write(TOKEN_CHUNK * self.left)
            self.left = 0
        while self.left and self.due <= self.loop.time():
            self.transport.write(TOKEN_CHUNK)
            self.left -= 1
            self.due += self.gap
        if self.left:
            self.loop.call_at(self.due, self.tick)
        else:
            self.end()

    def end(self) -> None:
        parts = [event(choices=[LAST])]
        if self.with_usage:
            parts.append(event(choices=[], usage=usage_of(self.tokens)))
        parts.append(b"data: [DONE]\n\n")
        self.transport.write(b"".join(map(chunked, parts)) + b"0\r\n\r\n")


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(serve(parser.parse_args().port))
