"""`listening()`: how sockets, streams and held answers hear events in this process.

One subscription to the channel layer per event loop, however many listen: a listener
is a plain function that must return at once. Events are hints and may be lost, so
whoever needs the truth also reads the row. While the layer does not deliver (Redis
away) `is_deaf` is true and sockets send their pages to polling.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

from venom_site.lib.events import GROUP

logger = logging.getLogger(__name__)

Hear = Callable[[dict[str, Any]], None]
PING_SECONDS = 5.0
DEAF_SECONDS = 11.0
FIRST_WORD_SECONDS = 2.0


class Ear:
    """The process's subscription; it pings itself to know that the layer delivers."""

    def __init__(self) -> None:
        self._listeners: set[Hear] = set()
        self._name = uuid4().hex
        self._channel = ""
        self._heard_at = 0.0
        self._heard = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_deaf(self) -> bool:
        return time.monotonic() - self._heard_at > DEAF_SECONDS

    async def add(self, hear: Hear) -> None:
        """Returns once events arrive, or after a moment when none do."""
        self._listeners.add(hear)
        if not self._tasks:
            self._heard.clear()
            loop = asyncio.get_running_loop()
            self._tasks = [
                loop.create_task(self._keep(self._receive)),
                loop.create_task(self._keep(self._ping)),
            ]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._heard.wait(), FIRST_WORD_SECONDS)

    def remove(self, hear: Hear) -> None:
        self._listeners.discard(hear)
        if self._listeners:
            return
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        self._channel, self._heard_at = "", 0.0

    async def _keep(self, work: Callable[[], Any]) -> None:
        while _is_wanted():
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - a driver's own, and it returns
                logger.warning("channel layer away, trying again %s", error)
            await asyncio.sleep(1)

    async def _receive(self) -> None:
        layer: Any = get_channel_layer()
        channel = self._channel = await layer.new_channel()
        await layer.group_add(GROUP, channel)
        try:
            while _is_wanted():
                self._tell(await layer.receive(channel))
        finally:
            await layer.group_discard(GROUP, channel)

    def _tell(self, message: dict[str, Any]) -> None:
        if message["type"] == "venom.ping":
            if message["of"] == self._name:
                self._heard_at = time.monotonic()
                self._heard.set()
            return
        for hear in tuple(self._listeners):
            hear(message["event"])

    async def _ping(self) -> None:
        """Also joins again: somebody may have removed the folder of sockets."""
        layer: Any = get_channel_layer()
        while _is_wanted():
            if self._channel:
                await layer.group_add(GROUP, self._channel)
            await layer.group_send(GROUP, {"type": "venom.ping", "of": self._name})
            await asyncio.sleep(PING_SECONDS if self._heard.is_set() else 0.05)


def _is_wanted() -> bool:
    """Whether nobody cancelled this task: a driver may swallow that in the middle of a
    call, and whoever cancelled would wait for ever (seen with Redis)."""
    task = asyncio.current_task()
    return task is None or not task.cancelling()


_ears: WeakKeyDictionary[asyncio.AbstractEventLoop, Ear] = WeakKeyDictionary()


def ear() -> Ear:
    """The ear of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _ears:
        _ears[loop] = Ear()
    return _ears[loop]


@contextlib.asynccontextmanager
async def listening(hear: Hear) -> AsyncIterator[Ear]:
    """`hear(event)` is called with each event of docs/api.md while this is open."""
    own = ear()
    try:
        await own.add(hear)
        yield own
    finally:
        own.remove(hear)
