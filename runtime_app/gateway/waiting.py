"""`wait_seconds`: holding the answer of a POST until its operation ends.

A view answers at once with `X-Venom-Wait: <operation_id>;<seconds>`. This wrapper
around Django's app takes the header out and keeps the answer back meanwhile, with no
thread and no database connection. A client that leaves ends the hold, never the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from django.db import DatabaseError

from models_app.services import operations
from runtime_app.gateway.leaving import Message, Receive, Send, while_present
from runtime_app.services.waiting import finished_body
from venom_site.lib.listening import listening
from venom_site.lib.offloop import off_loop

HEADER = b"x-venom-wait"
LONGEST_SECONDS = 300.0
LOOK_SECONDS = 0.5
Headers = list[tuple[bytes, bytes]]
Finish = Callable[[], Awaitable[None]]


async def _nothing_more() -> None:
    """What a process without a gateway does before it answers."""


def with_waiting(app: Any, before_answer: Finish = _nothing_more) -> Any:
    """`app`, whose answers to POSTs of the API may be held. `before_answer` runs when
    the operation has ended: what it did must be in force when the client hears of it.
    """

    async def wrapped(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["method"] != "POST" or not scope["path"].startswith("/api/v1/"):
            await app(scope, receive, send)
            return
        answer = Answer(send)
        await app(scope, receive, answer.send)
        if answer.is_held:
            await while_present(receive, answer.release(before_answer))

    return wrapped


class Answer:
    """Passes an answer on as it comes, or keeps it when its head asks for that."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message = {}
        self._body = b""
        self._pk = ""
        self._seconds = 0.0

    @property
    def is_held(self) -> bool:
        return bool(self._pk)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._read_wish(message)
        if not self.is_held:
            await self._send(message)
        elif message["type"] == "http.response.start":
            self._start = message
        else:
            self._body += message.get("body", b"")

    def _read_wish(self, start: Message) -> None:
        headers: Headers = [(name.lower(), value) for name, value in start["headers"]]
        wish = dict(headers).get(HEADER, b"").decode("latin-1")
        if wish:
            self._pk, _, seconds = wish.partition(";")
            self._seconds = min(float(seconds), LONGEST_SECONDS)
            start["headers"] = [pair for pair in headers if pair[0] != HEADER]

    async def release(self, before_answer: Finish) -> None:
        """Wait, then send the answer with what has become of the operation."""
        await until_ended(self._pk, self._seconds)
        await before_answer()
        headers = dict(self._start["headers"])
        if headers.pop(b"content-encoding", b"") == b"gzip":
            self._body = gzip.decompress(self._body)
        with contextlib.suppress(DatabaseError):  # then as it was at first
            self._body = await off_loop(_finished, self._pk, self._body)
        headers[b"content-length"] = str(len(self._body)).encode()
        await self._send(self._start | {"headers": list(headers.items())})
        await self._send({"type": "http.response.body", "body": self._body})


def _finished(pk: str, body: bytes) -> bytes:
    now = finished_body(json.loads(body), operations.get_operation(pk))
    return json.dumps(now).encode()


async def until_ended(pk: str, seconds: float) -> None:
    """Until the operation has ended, or for so long."""
    woken = asyncio.Event()

    def hear(event: dict[str, Any]) -> None:
        if event["data"].get("operation_id") == pk:
            woken.set()

    ends = time.monotonic() + seconds
    async with listening(hear):
        while not await _has_ended(pk) and (left := ends - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), min(LOOK_SECONDS, left))
            woken.clear()


async def _has_ended(pk: str) -> bool:
    try:
        return await off_loop(lambda: operations.get_operation(pk).is_finished)
    except DatabaseError:
        return False
