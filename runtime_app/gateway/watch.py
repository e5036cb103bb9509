"""Ends a request that nobody waits for, or whose server has fallen silent.

One per request: listens for the client leaving and keeps the deadlines. It ends the
request by cancelling its task, which closes the connection to the server, which then
stops generating. The reason stays readable; a cancel without one came from outside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Ended(StrEnum):
    CLIENT_LEFT = "client_left"
    FIRST_BYTE = "first_byte"
    IDLE = "idle"
    TOTAL = "total"


class Watch:
    """`expect()` before waiting for the server, `heard()` after: a slow client is no
    silence of the server. The timer is moved only when it rings, not per chunk."""

    def __init__(self, receive: Receive) -> None:
        self.reason: Ended | None = None
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._listener = self._loop.create_task(self._listen(receive))
        self._timer: asyncio.TimerHandle | None = None
        self._total: asyncio.TimerHandle | None = None
        self._waiting_since: float | None = None
        self._limit = 0.0
        self.named = Ended.FIRST_BYTE
        self._is_over = False

    def limit_total(self, seconds: float) -> None:
        self._total = self._loop.call_later(seconds, self._end, Ended.TOTAL)

    def limit_silence(self, seconds: float, named: Ended) -> None:
        """From now on the server may be silent for `seconds` while we wait for it."""
        self._limit, self.named = seconds, named
        self._set_timer(seconds)

    def expect(self) -> None:
        self._waiting_since = self._loop.time()

    def heard(self) -> None:
        self._waiting_since = None

    def stop(self) -> None:
        """Nothing is ended any more; call before the last bytes go to the client."""
        self._is_over = True
        self._listener.cancel()
        for timer in (self._timer, self._total):
            if timer is not None:
                timer.cancel()

    def forgive(self) -> Ended | None:
        """Take our own cancel back and say why; None when the process is stopping."""
        self.stop()
        if self.reason is None or self._task is None:
            return None
        return self.reason if self._task.uncancel() == 0 else None

    async def _listen(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._end(Ended.CLIENT_LEFT)

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._ring)

    def _ring(self) -> None:
        since = self._waiting_since
        left = self._limit
        if since is not None:
            left = since + self._limit - self._loop.time()
        if left <= 0:
            self._end(self.named)
        else:
            self._set_timer(left)

    def _end(self, reason: Ended) -> None:
        if not self._is_over and self._task is not None:
            self._is_over, self.reason = True, reason
            self._task.cancel()
