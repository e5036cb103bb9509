"""Clients that read slowly or not at all, and bodies at the edge of what is taken."""

from __future__ import annotations

import itertools
import time

import pytest
from django.db import connection

from history_app.models import RequestRecord
from runtime_app.governance import keys
from tests.fakes.raw import RawServer, event, head
from tests.fakes.waiting import wait_until
from tests.serving import DaphneProcess, Gateway, UvicornProcess, add_server
from venom_site.lib.access import SYSTEM, Scope

CHAT = "/v1/chat/completions"
PROMPT = [{"role": "user", "content": "Hello"}]
STREAM = {"messages": PROMPT, "stream": True}
MEBIBYTE = 1 << 20
# What the kernel may hold on its own in the four socket buffers on the way.
MOST_ON_THE_WAY = 40 * MEBIBYTE
# What no server may keep of an answer that nobody reads; all of it would be 160 MiB.
MOST_KEPT = 60 * MEBIBYTE


def endless():
    """A stream that never ends, in events of 64 KiB."""
    said = event({"choices": [{"delta": {"content": "x" * 65_000}}]})
    return itertools.chain([head("text/event-stream")], itertools.repeat(said))


def test_a_client_that_does_not_read_fills_no_memory_and_stops_the_server(gateway):
    with RawServer(endless()) as server:
        gateway.add("lab", server.url, "m", active="m")
        with gateway.raw(CHAT, STREAM) as client:
            wait_until(lambda: _stands_still(server), seconds=10)
            assert MEBIBYTE < server.sent_bytes < MOST_ON_THE_WAY
            before = server.sent_bytes
            for _ in range(400):
                client.recv(MEBIBYTE)
            wait_until(lambda: server.sent_bytes > before)
        row = gateway.record()
    assert (row.status, row.partial) == ("CANCELLED", True)


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("server_class", [UvicornProcess, DaphneProcess])
def test_no_server_keeps_the_answer_of_a_client_that_does_not_read(server_class):
    """daphne kept all of it: its `send` returned at once, whoever read."""
    said = event({"choices": [{"delta": {"content": "x" * 65_000}}]})
    end = event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    pieces = [head("text/event-stream"), *[said] * 2500, end, b"data: [DONE]\n\n"]
    key = keys.create_key("bot", [Scope.INFERENCE], actor=SYSTEM)[1]
    with RawServer(pieces) as upstream:
        add_server("lab", upstream.url, "m", active="m")
        connection.close()
        with server_class() as server:
            gateway = Gateway(server, key)
            assert gateway.http().get("/v1/models").status_code == 200
            before = server.memory_bytes()
            with gateway.raw(CHAT, STREAM) as slow:
                wait_until(lambda: _stands_still(upstream), seconds=20)
                assert upstream.sent_bytes < MOST_ON_THE_WAY
                assert server.memory_bytes() - before < MOST_KEPT
                _read_to_the_end(slow)
            with gateway.raw(CHAT, STREAM):
                wait_until(lambda: _stands_still(upstream), seconds=20)
            gateway.close()
            wait_until(lambda: _statuses() == ["CANCELLED", "COMPLETED"], seconds=10)


def _read_to_the_end(client) -> None:
    received = b""
    while not received.endswith(b"0\r\n\r\n"):
        received = received[-64:] + client.recv(MEBIBYTE)
    assert b"[DONE]" in received


def _statuses() -> list[str]:
    return list(RequestRecord.objects.newest_first().values_list("status", flat=True))


def _stands_still(server: RawServer) -> bool:
    before = server.sent_bytes
    time.sleep(0.3)
    return before == server.sent_bytes > 0


def test_a_client_that_reads_slowly_is_no_silence_of_the_server(
    start_gateway, deadlines
):
    deadlines(VENOM_STREAM_IDLE_SECONDS=0.3)
    gateway = start_gateway()
    said = event({"choices": [{"delta": {"content": "x" * 65_000}}]})
    end = event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    pieces = [head("text/event-stream"), *[said] * 400, end, b"data: [DONE]\n\n"]
    with RawServer(pieces) as server:
        gateway.add("lab", server.url, "m", active="m")
        with gateway.raw(CHAT, STREAM) as client:
            time.sleep(1)
            _read_to_the_end(client)
        assert gateway.record().status == "COMPLETED"


@pytest.mark.slow
def test_a_body_of_twenty_megabytes_passes(gateway, practice_ollama):
    gateway.add("ollama", practice_ollama.url, "gemma3:4b", active="gemma3:4b")
    image = "data:image/png;base64," + "A" * 20_000_000
    content = [{"type": "image_url", "image_url": {"url": image}}]
    body = {"messages": [{"role": "user", "content": content}]}
    answer = gateway.http().post(CHAT, json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    seen = practice_ollama.state.last_bodies[CHAT]["messages"]
    assert seen[0]["content"][0]["image_url"]["url"] == image
