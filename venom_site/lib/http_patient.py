"""Calls that may take minutes: one whole answer, or progress line by line.

Both can be ended at any time, from outside by `check`, and leave no connection behind.
Used by the clients of `venom_site/clients`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx

from venom_site.lib.errors import WireError
from venom_site.lib.http_answers import decoded, headers_of, refuse_excess, translated

MAX_LINE_BYTES = 1024 * 1024
CHECK_EVERY_SECONDS = 0.2


async def _post(
    base_url: str, path: str, body: dict[str, Any], *, key: str, seconds: float
) -> Any:
    timeout = httpx.Timeout(seconds, connect=5)
    async with (
        httpx.AsyncClient(
            base_url=base_url, headers=headers_of(key), timeout=timeout, trust_env=False
        ) as wire,
        wire.stream("POST", path, json=body) as response,
    ):
        answer = bytearray()
        async for chunk in response.aiter_bytes():
            answer += chunk
            refuse_excess(answer, None)
    return decoded(response, bytes(answer))


def ask_patiently(
    base_url: str,
    path: str,
    body: dict[str, Any],
    *,
    seconds: float,
    check: Callable[[], None],
    key: str = "",
) -> Any:
    """The JSON answer to a POST that may take minutes, while a model is loaded.

    `check` is called five times a second; when it raises, the connection is closed at
    once, which ends the work on the other side too. Not retried here.
    """

    async def watched() -> Any:
        call = asyncio.create_task(
            _post(base_url, path, body, key=key, seconds=seconds)
        )
        async with _ended(call), asyncio.timeout(seconds):
            while not call.done():
                await asyncio.wait([call], timeout=CHECK_EVERY_SECONDS)
                check()
        return call.result()

    with translated(base_url):
        return asyncio.run(watched())


def follow_lines(
    base_url: str,
    path: str,
    body: dict[str, Any],
    *,
    on_line: Callable[[bytes], None],
    check: Callable[[], None],
    idle_seconds: float,
    key: str = "",
) -> None:
    """One POST that answers line by line (NDJSON), for as long as bytes keep coming.

    `on_line` gets each line that is not blank; `check` is called five times a second.
    When either raises, the connection is closed at once, which ends the work on the
    other side too. Both run outside the event loop, so that they may use the database.
    """
    lines, came = deque[bytes](), asyncio.Event()

    async def begun() -> asyncio.Task[None]:
        reading = _read_lines(
            base_url, path, body, lines, came, key=key, idle_seconds=idle_seconds
        )
        task = asyncio.create_task(reading)
        task.add_done_callback(lambda _: came.set())
        return task

    async def moved_on() -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(CHECK_EVERY_SECONDS):
                await came.wait()
        came.clear()
        return call.done()

    # Leaving the runner cancels the call, whatever ends the block.
    with translated(base_url), asyncio.Runner() as runner:
        call = runner.run(begun())
        is_over = False
        while not is_over:
            is_over = runner.run(moved_on())
            while lines:
                on_line(lines.popleft())
            check()
        call.result()


async def _read_lines(
    base_url: str,
    path: str,
    body: dict[str, Any],
    lines: deque[bytes],
    came: asyncio.Event,
    *,
    key: str,
    idle_seconds: float,
) -> None:
    timeout = httpx.Timeout(idle_seconds, connect=5)
    async with (
        httpx.AsyncClient(
            base_url=base_url, headers=headers_of(key), timeout=timeout, trust_env=False
        ) as wire,
        wire.stream("POST", path, json=body) as response,
    ):
        rest = bytearray()
        is_refused = response.status_code >= 300
        async for chunk in response.aiter_bytes():
            rest += chunk
            if is_refused:
                refuse_excess(rest, None)
            else:
                rest = _whole_lines(rest, lines)
                came.set()
        if is_refused:
            decoded(response, bytes(rest))
        _whole_lines(rest + b"\n", lines)


def _whole_lines(came: bytearray, lines: deque[bytes]) -> bytearray:
    """Move the lines that are whole; returns the beginning of the next one."""
    *whole, rest = came.split(b"\n")
    if any(len(line) > MAX_LINE_BYTES for line in (*whole, rest)):
        raise WireError("A line of the answer is longer than 1 MiB.", permanent=True)
    lines.extend(bytes(line) for line in whole if line.strip())
    return rest


@asynccontextmanager
async def _ended(call: asyncio.Task[Any]) -> AsyncIterator[None]:
    """Leave no call behind, whatever ends the block."""
    try:
        yield
    finally:
        call.cancel()
        await asyncio.wait([call])
        if not call.cancelled():
            call.exception()  # looked at, so that asyncio does not complain
