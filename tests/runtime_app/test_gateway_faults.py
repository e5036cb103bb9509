"""Upstreams that fail, stall and are cut, and clients that leave."""

import contextlib
import json
import socket
import threading
import time

import httpx
import openai
import pytest

from history_app.choices import RequestStatus
from tests.fakes.waiting import wait_until

MODEL = "gemma3:4b"
PROMPT = [{"role": "user", "content": "Opowiedz mi o żółwiu i o jaźni"}]
CHAT = "/v1/chat/completions"
# On a quiet machine it takes less than 50 ms; this one is busy with other tests.
LEAVING_SECONDS = 0.5
STREAM = {"model": MODEL, "messages": PROMPT, "stream": True}
PLAIN = {"model": MODEL, "messages": PROMPT}


@pytest.fixture
def ollama(gateway, practice_ollama):
    gateway.add("ollama", practice_ollama.url, MODEL, active=MODEL)
    practice_ollama.state.answer_tokens = 20
    return practice_ollama


@pytest.fixture
def hasty(start_gateway, deadlines, practice_ollama):
    """A gateway with short deadlines."""
    deadlines(
        VENOM_FIRST_BYTE_SECONDS_LOCAL=0.4,
        VENOM_STREAM_IDLE_SECONDS=0.3,
        VENOM_TOTAL_SECONDS=1.0,
    )
    gateway = start_gateway()
    gateway.add("ollama", practice_ollama.url, MODEL, active=MODEL)
    practice_ollama.state.answer_tokens = 20
    return gateway


def events_of(text: str) -> list[dict]:
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line]
    return [json.loads(line) for line in lines if line != "[DONE]"]


@pytest.mark.parametrize(
    ("fault", "kind", "status", "code", "error_class"),
    [
        ("status:404", openai.NotFoundError, 404, "model_not_found", "MODEL_NOT_FOUND"),
        ("status:429", openai.RateLimitError, 429, "upstream_overloaded", "RATE_LIMIT"),
        ("status:503", openai.RateLimitError, 429, "upstream_overloaded", "RATE_LIMIT"),
        ("status:401", openai.InternalServerError, 502, "upstream_auth", "AUTH_ERROR"),
        ("status:403", openai.InternalServerError, 502, "upstream_auth", "AUTH_ERROR"),
        ("status:500", openai.InternalServerError, 502, "upstream_error", "DEGRADED"),
        ("garbage", openai.InternalServerError, 502, "upstream_malformed", "DEGRADED"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_upstreams_failure_has_its_class_code_and_row(
    gateway, ollama, fault, kind, status, code, error_class, stream
):
    ollama.state.faults.plan(CHAT, fault)
    with pytest.raises(kind) as caught:
        gateway.openai().chat.completions.create(**PLAIN, stream=stream)
    assert caught.value.status_code == status
    assert caught.value.body["code"] == code
    assert ollama.url in caught.value.body["message"]
    assert caught.value.response.headers["x-venom-provider"] == "ollama"
    row = gateway.record()
    assert (row.status, row.http_status) == (RequestStatus.FAILED, status)
    assert (row.error_code, row.error_class) == (code, error_class)
    assert row.llm_provider == "ollama"


def test_an_overloaded_server_says_when_to_come_back(gateway, ollama):
    ollama.state.faults.plan(CHAT, "status:503")
    answer = gateway.http().post(CHAT, json=PLAIN)
    assert answer.headers["retry-after"] == "1"
    assert "server busy" in answer.json()["error"]["message"]


def test_the_clients_own_mistake_comes_back_in_the_servers_words(gateway, ollama):
    direct = httpx.post(f"{ollama.url}{CHAT}", json={**PLAIN, "max_tokens": "many"})
    through = gateway.http().post(CHAT, json={**PLAIN, "max_tokens": "many"})
    assert through.status_code == direct.status_code == 400
    assert through.content == direct.content
    assert through.headers["x-venom-provider"] == "ollama"
    assert gateway.record().error_code == "bad_request"


def test_a_server_that_is_gone_is_offline(gateway, ollama):
    ollama.stop()
    with pytest.raises(openai.InternalServerError) as caught:
        gateway.openai().chat.completions.create(**PLAIN)
    assert caught.value.status_code == 502
    assert caught.value.body["code"] == "upstream_offline"
    row = gateway.record()
    assert (row.error_class, row.error_retryable) == ("OFFLINE", True)


@pytest.mark.parametrize("fault", ["cut_after_tokens:3", "cut_mid_line:3"])
def test_a_cut_stream_ends_in_an_error_event_without_done(gateway, ollama, fault):
    ollama.state.faults.plan(CHAT, fault)
    answer = gateway.http().post(CHAT, json=STREAM)
    assert answer.status_code == 200
    assert "[DONE]" not in answer.text
    events = events_of(answer.text)
    assert events[-1]["error"]["code"] == "upstream_cut"
    assert len(events) > 3
    row = gateway.record()
    assert (row.status, row.partial) == (RequestStatus.FAILED, True)
    assert row.error_code == "upstream_cut"
    assert row.usage_estimated is True
    assert row.output_tokens > 0


def test_the_official_client_raises_on_a_cut_stream(gateway, ollama):
    ollama.state.faults.plan(CHAT, "cut_after_tokens:3")
    stream = gateway.openai().chat.completions.create(**STREAM)
    with pytest.raises(openai.APIError, match="before it was complete"):
        list(stream)


def test_a_stream_cut_before_its_first_event_is_a_plain_502(gateway, ollama):
    ollama.state.faults.plan(CHAT, "cut_after_tokens:0")
    answer = gateway.http().post(CHAT, json=STREAM)
    assert answer.status_code in {200, 502}
    if answer.status_code == 502:
        assert answer.json()["error"]["code"] == "upstream_closed"
    else:  # the role chunk had come through already
        assert events_of(answer.text)[-1]["error"]["code"] == "upstream_cut"


def test_a_cut_plain_answer_is_502_and_no_half_json(gateway, ollama):
    ollama.state.faults.plan(CHAT, "cut_after_tokens:3")
    answer = gateway.http().post(CHAT, json=PLAIN)
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] in {"upstream_cut", "upstream_closed"}


def test_silence_before_the_first_byte_is_504(hasty, practice_ollama):
    for stream in (False, True):
        practice_ollama.state.faults.plan(CHAT, "stall_before_first_byte")
        began = time.monotonic()
        answer = hasty.http().post(CHAT, json={**PLAIN, "stream": stream})
        assert 0.3 < time.monotonic() - began < 1.5
        assert answer.status_code == 504
        assert answer.json()["error"]["code"] == "upstream_timeout"
        assert "0.4 s" in answer.json()["error"]["message"]
        assert hasty.record().error_class == "TIMEOUT"
    wait_until(lambda: practice_ollama.state.in_flight == 0, seconds=1)


def test_silence_in_the_middle_ends_the_stream_with_an_error_event(
    hasty, practice_ollama
):
    practice_ollama.state.faults.plan(CHAT, "stall_mid_stream:3")
    began = time.monotonic()
    answer = hasty.http().post(CHAT, json=STREAM)
    assert time.monotonic() - began < 1.5
    assert events_of(answer.text)[-1]["error"]["code"] == "upstream_timeout"
    assert "[DONE]" not in answer.text
    row = hasty.record()
    assert (row.status, row.partial) == (RequestStatus.FAILED, True)
    wait_until(lambda: practice_ollama.state.in_flight == 0, seconds=1)


@pytest.mark.slow
def test_a_stream_may_last_longer_than_the_total_of_a_plain_answer(
    hasty, practice_ollama
):
    practice_ollama.state.tokens_per_second = 15
    answer = hasty.http().post(CHAT, json=STREAM)
    assert answer.text.rstrip().endswith("[DONE]")
    assert hasty.record().duration_seconds > 1.0


def test_a_plain_answer_that_never_ends_is_stopped(hasty, practice_ollama):
    practice_ollama.state.faults.plan(CHAT, "stall_mid_stream:3")
    answer = hasty.http().post(CHAT, json=PLAIN)
    assert answer.status_code == 504


@pytest.mark.parametrize(
    ("body", "fault", "has_begun"),
    [
        (STREAM, "stall_before_first_byte", False),
        (STREAM, "stall_mid_stream:3", True),
        (PLAIN, "stall_before_first_byte", False),
    ],
)
def test_a_client_that_leaves_stops_the_server_at_once(
    gateway, ollama, body, fault, has_begun
):
    ollama.state.faults.plan(CHAT, fault)
    with gateway.raw(CHAT, body):
        time.sleep(0.3)
        left_at = time.monotonic()
    wait_until(lambda: ollama.state.cancelled == 1, seconds=1)
    assert ollama.state.cancelled_at[0] - left_at < LEAVING_SECONDS
    row = gateway.record()
    assert row.status == RequestStatus.CANCELLED
    assert row.partial is has_begun
    assert row.error_code == ""


def test_a_stopping_gateway_closes_an_open_stream_with_an_error_event(gateway, ollama):
    ollama.state.tokens_per_second = 5
    ollama.state.answer_tokens = 500
    with gateway.http().stream("POST", CHAT, json=STREAM) as answer:
        pieces = answer.iter_text()
        text = next(pieces)
        gateway.server.ask_to_stop()
        text += "".join(pieces)
    assert events_of(text)[-1]["error"]["code"] == "gateway_stopping"
    row = gateway.record()
    assert (row.status, row.partial) == (RequestStatus.FAILED, True)


def test_a_running_request_is_in_the_history_before_it_ends(gateway, ollama):
    from history_app.models import RequestRecord

    ollama.state.faults.plan(CHAT, "stall_mid_stream:3")
    with gateway.http().stream("POST", CHAT, json=STREAM):
        wait_until(lambda: RequestRecord.objects.running().exists())
        row = RequestRecord.objects.running().get()
        assert (row.llm_provider, row.finished_at) == ("ollama", None)


def test_a_mistake_of_our_own_is_500_and_closes_the_row(gateway, ollama, monkeypatch):
    from runtime_app.gateway import proxy

    def mistaken(_answer):
        raise KeyError("ours")

    monkeypatch.setattr(proxy, "usage_in", mistaken)
    answer = gateway.http().post(CHAT, json=PLAIN)
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "ours" not in answer.text
    assert gateway.record().status == RequestStatus.FAILED


def test_a_client_that_leaves_after_done_has_its_whole_answer(gateway, ollama):
    """The official client closes at `[DONE]`, before the end of the body."""
    for _ in range(10):
        with gateway.http().stream("POST", CHAT, json=STREAM) as answer:
            for line in answer.iter_lines():
                if line == "data: [DONE]":
                    break
        assert gateway.record().status == RequestStatus.COMPLETED
    assert ollama.state.cancelled == 0


def test_a_connection_closed_while_idle_is_replaced_without_a_word(gateway):
    """vLLM closes after five seconds of idling (maximhq/bifrost#1305): the next
    request finds the connection dead only after it was sent."""
    with HalfDeadServer() as server:
        gateway.add("lab", server.url, "m", active="m")
        client = gateway.http()
        for _ in range(4):
            answer = client.post(CHAT, json={"messages": PROMPT})
            assert answer.status_code == 200, answer.text
        # Each later request meets a dead connection and gets one of its own.
        assert (server.connections, server.dropped) == (4, 3)


class HalfDeadServer:
    """Answers the first request of a connection and drops it at the second one."""

    ANSWER = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        b'Content-Length: 15\r\n\r\n{"choices": []}'
    )

    def __init__(self) -> None:
        self.connections = self.dropped = 0

    def __enter__(self):
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _address = self._listening.accept()
                self.connections += 1
                threading.Thread(
                    target=self._serve, args=(connection,), daemon=True
                ).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            if connection.recv(65536):
                connection.sendall(self.ANSWER)
            if connection.recv(65536):
                self.dropped += 1


def test_a_database_that_goes_away_leaves_keys_and_routes_in_force(
    gateway, ollama, monkeypatch, caplog
):
    from django.db import OperationalError

    from runtime_app.gateway import snapshot

    def away(*_):
        raise OperationalError("unable to open database file")

    monkeypatch.setattr(snapshot, "_load_if_changed", away)
    wait_until(lambda: "database away" in caplog.text)
    for _ in range(3):
        assert gateway.http().post(CHAT, json=PLAIN).status_code == 200
    assert caplog.text.count("database away") == 1
