"""The watch of one request: what ends it, what it may survive. On a bare loop."""

from __future__ import annotations

import asyncio

import pytest

from runtime_app.gateway.watch import Ended, Watch


class Client:
    """Leaves when told."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def receive(self):
        await self.left.wait()
        return {"type": "http.disconnect"}


async def ended(watch: Watch) -> Ended | None:
    """What ends a wait for the server."""
    watch.expect()
    try:
        await asyncio.sleep(5)
    except asyncio.CancelledError:
        return watch.forgive()
    return None


async def test_after_a_silence_the_request_may_go_on_and_is_still_watched():
    client = Client()
    watch = Watch(client.receive)
    watch.limit_silence(0.01, Ended.FIRST_BYTE)
    assert await ended(watch) is Ended.FIRST_BYTE
    watch.limit_silence(0.01, Ended.IDLE)
    assert await ended(watch) is Ended.IDLE
    asyncio.get_running_loop().call_later(0.01, client.left.set)
    watch.limit_silence(5, Ended.FIRST_BYTE)
    assert await ended(watch) is Ended.CLIENT_LEFT
    assert asyncio.current_task().cancelling() == 0
    watch.stop()


async def test_the_total_holds_over_several_servers():
    watch = Watch(Client().receive)
    watch.limit_total(0.3)
    reasons = []
    while Ended.TOTAL not in reasons:
        watch.limit_silence(0.02, Ended.FIRST_BYTE)
        reasons.append(await ended(watch))
    assert set(reasons[:-1]) == {Ended.FIRST_BYTE}
    watch.stop()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("deadline", [Ended.FIRST_BYTE, Ended.IDLE, Ended.TOTAL])
async def test_a_client_that_leaves_in_the_moment_of_a_deadline_has_left(
    deadline, order
):
    watch = Watch(Client().receive)
    loop = asyncio.get_running_loop()
    for place in order:
        loop.call_soon(watch.end, (Ended.CLIENT_LEFT, deadline)[place])
    assert await ended(watch) is Ended.CLIENT_LEFT
    assert asyncio.current_task().cancelling() == 0
    watch.stop()


async def test_a_stopping_process_is_none_of_the_watchs_reasons():
    watch = Watch(Client().receive)
    task = asyncio.current_task()
    asyncio.get_running_loop().call_soon(task.cancel)
    assert await ended(watch) is None
    assert task.uncancel() == 0
    watch.stop()


async def test_nothing_ends_a_request_that_is_over():
    client = Client()
    watch = Watch(client.receive)
    watch.limit_silence(0.01, Ended.FIRST_BYTE)
    watch.expect()
    watch.stop()
    client.left.set()
    await asyncio.sleep(0.05)
    assert watch.reason is None
