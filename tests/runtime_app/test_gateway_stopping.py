"""SIGTERM while three hundred answers are on their way: all are told and written."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from django.db import connection, transaction

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from history_app.services import spool
from models_app.models import Node
from runtime_app.governance import keys
from tests.fakes.waiting import wait_until
from tests.serving import DaphneProcess, UvicornProcess, add_server
from tests.threads import in_thread
from venom_site.lib.access import SYSTEM, Scope

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.process,
    pytest.mark.slow,
]
MODEL = "gemma3:4b"
STREAMS = 300
SHORT = 20  # of them end by themselves within the grace


class Clients:
    """So many open streams in one loop; `texts` is what each was sent."""

    def __init__(self, port: int, key: str, count: int = STREAMS) -> None:
        self._port, self._key, self._count = port, key, count
        self.begun = 0
        self.texts: list[str] = []
        self.ended_at: list[float] = []

    def run(self) -> None:
        asyncio.run(self._all())

    async def _all(self) -> None:
        await asyncio.gather(*(self._one(number) for number in range(self._count)))

    async def _one(self, number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(self._request(6 if number < SHORT else 10_000))
        text = await reader.readuntil(b"\r\n\r\n")
        text += await reader.read(1)  # the first byte of an answer
        self.begun += 1
        text += await reader.read()
        self.texts.append(text.decode())
        self.ended_at.append(time.monotonic())
        writer.close()

    def _request(self, tokens: int) -> bytes:
        body = json.dumps(
            {
                "model": MODEL,
                "messages": [{"role": "user", "content": "Hello"}],
                "stream": True,
                "max_tokens": tokens,
            }
        ).encode()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {self._key}\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@pytest.fixture
def key(practice_ollama) -> str:
    """Of a program that may ask an Ollama which answers slowly and for long."""
    add_server("ollama", practice_ollama.url, MODEL, active=MODEL)
    practice_ollama.state.tokens_per_second = 2
    practice_ollama.state.answer_tokens = 10_000
    _row, key = keys.create_key("bot", [Scope.INFERENCE], actor=SYSTEM)
    connection.close()  # the other process may have to wait for it otherwise
    return key


@pytest.mark.parametrize(
    # daphne gives no time: it cancels what runs at once.
    ("make_server", "grace"),
    [(UvicornProcess, 4.0), (DaphneProcess, 0.0)],
)
def test_every_stream_ends_with_an_event_and_a_row(key, make_server, grace, capfd):
    with make_server() as server:
        clients = Clients(server.port, key)
        reading = in_thread(clients.run)
        wait_until(lambda: clients.begun == STREAMS, seconds=30)
        asked_at = time.monotonic()
        server.ask_to_stop()
        wait_until(lambda: not server.answers(), seconds=2)
    reading.join(5)
    assert not reading.is_alive()
    whole = [text for text in clients.texts if "[DONE]" in text]
    cut = [text for text in clients.texts if "gateway_stopping" in text]
    assert len(whole) + len(cut) == STREAMS
    assert len(whole) == SHORT or (not grace and len(whole) < SHORT)
    assert max(clients.ended_at) - asked_at > grace
    spool.replay()  # as the next start does with what the end had no time for
    rows = RequestRecord.objects.all()
    assert rows.count() == STREAMS
    assert rows.filter(status=RequestStatus.COMPLETED).count() == len(whole)
    assert "Traceback" not in capfd.readouterr().err
    told = rows.filter(status=RequestStatus.FAILED, error_code="gateway_stopping")
    assert told.filter(partial=True, error_retryable=True).count() == len(cut)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="one writer at a time")
def test_a_database_that_takes_no_writes_holds_neither_the_end_nor_the_rows(key):
    with UvicornProcess() as server:
        clients = Clients(server.port, key, count=30)
        reading = in_thread(clients.run)
        wait_until(lambda: clients.begun == 30, seconds=30)
        with transaction.atomic():
            Node.objects.create(name="writing")  # the write lock of SQLite
            server.ask_to_stop()
            server.wait()
    reading.join(5)
    assert len([text for text in clients.texts if "gateway_stopping" in text]) == 10
    spool.replay()
    ended = RequestRecord.objects.filter(error_code="gateway_stopping", partial=True)
    assert ended.count() == 10
    assert RequestRecord.objects.filter(status=RequestStatus.COMPLETED).count() == SHORT
