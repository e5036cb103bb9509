"""A client that asks each kind of request in its way and looks for secrets in all that
comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from dataclasses import dataclass, field

import httpx

from tests.endurance import planted
from tests.endurance.kinds import HUGE, Kind
from tests.endurance.planted import Keys

TOO_LARGE = 33 << 20
A_MOMENT = 0.5
PAUSE_SECONDS = 2.5  # longer than a server may be silent
Seen = tuple[int | None, str]


@dataclass
class Client:
    """`ask` returns the status and the error code that came, and notes in `leaks`
    which secret stood in which kind's answer."""

    url: str
    keys: Keys
    leaks: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._secrets = planted.secrets_of(self.keys)
        self._huge = asyncio.Semaphore(2)
        self._http = httpx.AsyncClient(
            base_url=self.url,
            trust_env=False,
            timeout=60,
            limits=httpx.Limits(max_connections=None),
        )

    async def ask(self, kind: Kind, name: str) -> Seen:
        content = kind.written(kind.body)
        headers = {"X-Request-Id": name, **self._authorization(kind.key)}
        way = getattr(self, kind.way)
        async with self._huge if len(content) > HUGE else contextlib.nullcontext():
            seen: Seen = await way(kind, content, headers)
        return seen

    async def close(self) -> None:
        await self._http.aclose()

    def _authorization(self, key: str) -> dict[str, str]:
        texts = {"none": "", "wrong": planted.STRANGER, "foreign": planted.FOREIGN}
        given = texts[key] if key in texts else getattr(self.keys, key)
        return {"Authorization": f"Bearer {given}"} if given else {}

    # The ways

    async def whole(self, kind: Kind, content: bytes, headers: dict) -> Seen:
        answer = await self._http.post(kind.path, content=content, headers=headers)
        self._read(kind, _head(answer) + answer.content)
        return answer.status_code, _code_in(answer.content)

    async def leaving(self, kind: Kind, content: bytes, headers: dict) -> Seen:
        """Goes away a moment after asking; nothing has come by then."""
        return await self._left(kind, len(content), content, headers)

    async def half(self, kind: Kind, content: bytes, headers: dict) -> Seen:
        """Goes away in the middle of its own body."""
        return await self._left(
            kind, len(content), content[: len(content) // 2], headers
        )

    async def leaving_midway(self, kind: Kind, content: bytes, headers: dict) -> Seen:
        """Goes away with the first piece of an answer."""
        async with self._http.stream(
            "POST", kind.path, content=content, headers=headers
        ) as answer:
            self._read(kind, _head(answer) + await anext(answer.aiter_bytes()))
            return answer.status_code, ""

    async def announced(self, kind: Kind, _content: bytes, headers: dict) -> Seen:
        """Announces a body that is too large and waits for the answer."""
        reader, writer = await self._raw(kind, TOO_LARGE, headers)
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        body = await reader.readexactly(int(length))
        writer.close()
        self._read(kind, head + body)
        return int(head.split()[1]), _code_in(body)

    async def slowly(self, kind: Kind, content: bytes, headers: dict) -> Seen:
        """Reads nothing for longer than a server may be silent, then all of it."""
        reader, writer = await self._raw(kind, len(content), headers)
        writer.write(content)
        await asyncio.sleep(PAUSE_SECONDS)
        tail = b""
        while not tail.endswith(b"\r\n0\r\n\r\n"):
            piece = await reader.read(1 << 18)
            if not piece:
                raise EOFError(f"cut after {tail!r}")
            self._read(kind, tail + piece)
            tail = (tail + piece)[-64:]
        writer.close()
        return (200, "") if b"[DONE]" in tail else (None, "")

    async def _left(self, kind: Kind, length: int, sent: bytes, headers: dict) -> Seen:
        reader, writer = await self._raw(kind, length, headers)
        writer.write(sent)
        await writer.drain()
        await asyncio.sleep(A_MOMENT)
        writer.close()
        got = await reader.read()
        self._read(kind, got)
        return int(got.split()[1]) if got else None, ""

    async def _raw(
        self, kind: Kind, length: int, headers: dict
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The head of a request by hand, over a connection with a small window."""
        url = httpx.URL(self.url)
        reader, writer = await asyncio.open_connection(
            url.host, url.port, limit=1 << 16
        )
        lines = {"Host": "localhost", "Content-Length": str(length), **headers}
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(f"POST {kind.path} HTTP/1.1\r\n{text}\r\n".encode())
        return reader, writer

    def _read(self, kind: Kind, content: bytes) -> None:
        for secret in self._secrets:
            if secret in content:
                self.leaks[f"{kind.name}: {secret.decode()}"] += 1


def _head(answer: httpx.Response) -> bytes:
    return b"\n".join(name + b": " + value for name, value in answer.headers.raw)


def _code_in(content: bytes) -> str:
    """The error code of an answer or of the last event of a stream."""
    events = [part for part in content.split(b"\n\n") if part.strip()]
    text = events[-1].removeprefix(b"data: ") if events else b""
    with contextlib.suppress(ValueError):
        found = json.loads(text)
        error = found.get("error") if isinstance(found, dict) else None
        if isinstance(error, dict):
            return str(error.get("code"))
    return ""
