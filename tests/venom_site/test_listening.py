"""One subscription per loop, and that it ends when it shall."""

import asyncio

import pytest

from venom_site.lib import listening


class SwallowingLayer:
    """A channel layer whose driver takes a cancellation for a lost connection, as that
    of Redis does at some moments."""

    def __init__(self) -> None:
        self.inside = asyncio.Event()
        self.swallows = 3  # so that this test fails instead of hanging

    async def _swallow(self) -> None:
        self.inside.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if self.swallows == 0:
                raise
            self.swallows -= 1

    async def new_channel(self) -> str:
        return "own"

    async def group_add(self, group: str, channel: str) -> None:
        pass

    async def group_discard(self, group: str, channel: str) -> None:
        pass

    async def group_send(self, group: str, message: dict) -> None:
        await self._swallow()

    async def receive(self, channel: str) -> dict:
        await self._swallow()
        raise ConnectionError("the driver's own")


@pytest.mark.asyncio
async def test_a_driver_that_swallows_a_cancellation_keeps_nobody_waiting(monkeypatch):
    layer = SwallowingLayer()
    monkeypatch.setattr(listening, "get_channel_layer", lambda: layer)
    monkeypatch.setattr(listening, "FIRST_WORD_SECONDS", 0.1)
    ear = listening.Ear()
    await ear.add(print)
    await layer.inside.wait()
    tasks = list(ear._tasks)

    ear.remove(print)
    _ended, going_on = await asyncio.wait(tasks, timeout=5)

    assert not going_on
