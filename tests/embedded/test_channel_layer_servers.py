"""The channel layer inside the real servers: what is published reaches a web socket."""

import signal
import sys
from contextlib import ExitStack

import pytest
from websockets.sync.client import connect

from tests.embedded.stand_in import ROOT, Running, environment, free_port
from tests.embedded.waiting import wait_until
from venom_site.embedded.channel_layer import LocalSocketChannelLayer

pytestmark = [pytest.mark.process, pytest.mark.slow]

APPLICATION = """
import asyncio, os
from django.conf import settings

settings.configure()
from venom_site.embedded.channel_layer import LocalSocketChannelLayer

layer = LocalSocketChannelLayer(directory=os.environ["CHANNELS"])

async def application(scope, receive, send):
    if scope["type"] != "websocket":
        raise RuntimeError("only web sockets here")
    await receive()
    channel = await layer.new_channel()
    await layer.group_add("operations", channel)
    await send({"type": "websocket.accept"})
    message = await layer.receive(channel)
    await send({"type": "websocket.send", "text": message["text"]})
    await layer.group_discard("operations", channel)
    await send({"type": "websocket.close"})
"""


def uvicorn(port: int, *more: str) -> list[str]:
    quiet = ["--log-level", "warning", "--ws", "websockets-sansio", "--lifespan", "off"]
    return ["uvicorn", "application:application", "--port", str(port), *quiet, *more]


def daphne(port: int) -> list[str]:
    return ["daphne", "-p", str(port), "-v0", "application:application"]


@pytest.mark.parametrize(
    "server",
    [uvicorn, lambda port: uvicorn(port, "--loop", "asyncio"), daphne],
    ids=["uvicorn on uvloop", "uvicorn on asyncio", "daphne"],
)
def test_a_published_message_reaches_a_web_socket(tmp_path, server):
    (tmp_path / "application.py").write_text(APPLICATION)
    channels = tmp_path / "channels"
    env = environment(PYTHONPATH=f"{ROOT}:{tmp_path}", CHANNELS=str(channels))
    port = free_port()
    argv = [sys.executable, "-W", "error::DeprecationWarning", "-m", *server(port)]
    with Running(argv, cwd=tmp_path, env=env) as running, ExitStack() as stack:
        sockets = []

        def is_connected():
            try:
                client = connect(f"ws://127.0.0.1:{port}", open_timeout=5)
                sockets.append(stack.enter_context(client))
            except OSError:
                assert running.process.poll() is None, running.output
                return False
            return True

        wait_until(is_connected, seconds=20)
        layer = LocalSocketChannelLayer(directory=channels)
        layer.publish("operations", {"type": "event", "text": "hello"})
        assert sockets[0].recv(timeout=5) == "hello"
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(10)
        assert "Traceback" not in running.output
        assert "Warning" not in running.output
