"""Runs practice neighbours: in a thread for tests, in the foreground by hand.

`PracticeServer` is what the fixtures hand out; `run_until_stopped` is behind
every `python -m tests.fakes.<name>`. Only loopback is ever bound.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from aiohttp import web

from tests.fakes.neighbour import NeighbourState

State = TypeVar("State", bound=NeighbourState)
PARENT_PIPE = "VENOM_PARENT_PIPE"
# How long open answers may run on when the server stops: it plays a sudden death.
GRACE_SECONDS = 0.01


class PracticeServer(Generic[State]):
    """One neighbour in a thread with a loop of its own, on one port for life."""

    def __init__(
        self, build: Callable[[State], web.Application], state: State, port: int = 0
    ) -> None:
        self.state = state
        self._build = build
        self._port = port
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self, listener: socket.socket | None = None) -> None:
        """Listen; after a stop on the same port again. Does nothing while it runs.
        `listener` is a socket that somebody has opened before."""
        if self._thread is not None:
            return
        listener = listener or listen(self._port)
        self._port = listener.getsockname()[1]
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listener, ready)),
            name=f"practice-{self._port}",
            daemon=True,
        )
        self._thread.start()
        if not ready.wait(timeout=10):
            raise RuntimeError(f"The practice neighbour at {self.url} did not start.")

    def stop(self) -> None:
        """Cut open answers and close the port. Does nothing when it is stopped."""
        if self._thread is None or self._loop is None or self._stop is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=10)
        self._thread = None

    async def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        runner = await _start(self._build(self.state), listener)
        ready.set()
        await self._stop.wait()
        await runner.cleanup()


def listen(port: int) -> socket.socket:
    """Return a listening loopback socket; port 0 takes a free one."""
    return socket.create_server(("127.0.0.1", port), backlog=512)


def run_until_stopped(
    neighbours: list[tuple[web.Application, int]],
    announce: Callable[[list[str]], None],
) -> None:
    """Serve in the foreground until SIGTERM, SIGINT or the parent's end.

    `announce` gets the base URLs, in order, once every one of them listens.
    """
    listening = [(app, _listen_or_exit(port)) for app, port in neighbours]
    asyncio.run(_run(listening, announce))


def _listen_or_exit(port: int) -> socket.socket:
    try:
        return listen(port)
    except OSError as refused:
        reason = os.strerror(refused.errno or 0)
        sys.exit(f"Cannot listen on 127.0.0.1:{port}: {reason}.")


async def _run(
    listening: list[tuple[web.Application, socket.socket]],
    announce: Callable[[list[str]], None],
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    watch_parent(lambda: loop.call_soon_threadsafe(stop.set))
    runners, urls = [], []
    for app, listener in listening:
        urls.append(f"http://127.0.0.1:{listener.getsockname()[1]}")
        runners.append(await _start(app, listener))
    announce(urls)
    await stop.wait()
    for runner in runners:
        await runner.cleanup()


async def _start(app: web.Application, listener: socket.socket) -> web.AppRunner:
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,  # a client that leaves ends its generation
        shutdown_timeout=GRACE_SECONDS,
    )
    await runner.setup()
    await web.SockSite(runner, listener).start()
    return runner


def watch_parent(on_gone: Callable[[], object]) -> None:
    """Call `on_gone` from a thread when the pipe named by the environment ends.

    The supervisor holds the other end, so even its SIGKILL leaves no orphan.
    """
    number = os.environ.get(PARENT_PIPE)
    if number is None:
        return
    try:
        descriptor = int(number)
        os.fstat(descriptor)
    except (ValueError, OSError):
        sys.exit(f"{PARENT_PIPE}={number!r} is not an open file descriptor.")

    def read_to_end() -> None:
        while os.read(descriptor, 1024):
            pass
        on_gone()

    threading.Thread(target=read_to_end, name="parent-watch", daemon=True).start()
