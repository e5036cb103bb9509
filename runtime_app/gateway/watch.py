"""Ends what nobody waits for, or what waits for a server that has fallen silent.

One per request: listens for the client leaving and keeps the deadlines. It ends the
work by cancelling the request's task, which closes the connection to the server, which
then stops generating. The reason stays readable; a cancel without one came from
outside. After a deadline the request may go on, with another server.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Ended(StrEnum):
    CLIENT_LEFT = "client_left"
    FIRST_BYTE = "first_byte"
    IDLE = "idle"
    TOTAL = "total"
    SWITCHED = "switched"  # its model is leaving the server


_FINAL = frozenset({Ended.CLIENT_LEFT, Ended.TOTAL, Ended.SWITCHED})


class Watch:
    """`expect()` before waiting for the server, `heard()` after: a slow client is no
    silence of the server. One timer serves all limits; it is moved when it rings and
    not per chunk, because each timer costs a request several microseconds."""

    def __init__(self, receive: Receive) -> None:
        self.reason: Ended | None = None
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._listener = self._loop.create_task(self._listen(receive))
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = math.inf
        self._total_at = math.inf
        self._waiting_since: float | None = None
        self._limit = math.inf
        self.named = Ended.FIRST_BYTE
        self._is_over = False

    def limit_total(self, seconds: float) -> None:
        """For all servers that are asked; looked at from the first silence on."""
        self._total_at = self._loop.time() + seconds

    def limit_silence(self, seconds: float, named: Ended) -> None:
        """From now on the server may be silent for `seconds` while we wait for it."""
        self._limit, self.named = seconds, named
        self._ring_at(self._loop.time() + seconds)

    def expect(self) -> None:
        self._waiting_since = self._loop.time()

    def heard(self) -> None:
        self._waiting_since = None

    def stop(self) -> None:
        """Nothing is ended any more; call before the last bytes go to the client."""
        self._is_over = True
        self._listener.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def forgive(self) -> Ended | None:
        """Take our own cancel back and say why; None when the process is stopping."""
        reason, self.reason = self.reason, None
        self.heard()
        if reason is None or self._task is None:
            return None
        return reason if self._task.uncancel() == 0 else None

    async def _listen(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.end(Ended.CLIENT_LEFT)

    def _ring_at(self, silent_at: float) -> None:
        """Then or earlier: who is woken too soon looks and sleeps on."""
        moment = min(silent_at, self._total_at)
        if moment >= self._rings_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = moment
        self._timer = self._loop.call_at(moment, self._ring)

    def _ring(self) -> None:
        self._rings_at, now = math.inf, self._loop.time()
        if self._total_at <= now:
            self.end(Ended.TOTAL)
            return
        since = now if self._waiting_since is None else self._waiting_since
        silent_at = since + self._limit
        if silent_at <= now:
            self.end(self.named)
            silent_at = math.inf  # until the next server is asked
        if not self._is_over:
            self._ring_at(silent_at)

    def end(self, reason: Ended) -> None:
        """End the request now; it will hear of the reason from `forgive()`."""
        if self._is_over or self._task is None:
            return
        if self.reason is None:
            self.reason = reason
            self._task.cancel()
        elif reason in _FINAL and self.reason is not Ended.CLIENT_LEFT:
            self.reason = reason  # in the same moment; after it nothing goes on
