"""The wire of a trial: bounded in time and size, whatever the other side sends."""

from __future__ import annotations

import itertools

import pytest

from runtime_app.services.trial_checks import Limits, json_mode, speed, tried
from tests.fakes.raw import RawServer, event, head, whole
from venom_site.clients.trials import TrialClient
from venom_site.lib.errors import WireError


class GoneAway(Exception):
    pass


LIMITS = Limits(first=5, each=5)
STREAM = head("text/event-stream")


def client(server: RawServer, check=lambda: None) -> TrialClient:
    return TrialClient(f"{server.url}/v1", "m", key="k", check=check)


def delta(**said) -> bytes:
    return event({"choices": [{"index": 0, "delta": said}]})


def test_several_tokens_in_a_chunk_are_counted_by_the_server():
    usage = event({"choices": [], "usage": {"completion_tokens": 9}})
    pieces = [STREAM, delta(role="assistant", content=""), delta(content="one two")]
    with RawServer([*pieces, delta(content=" three"), usage, b"data: [DONE]\n\n"]) as s:
        timed = client(s).stream("Hi", seconds=5)

    assert timed.output_tokens == 9
    assert timed.ttft_seconds is not None


def test_a_first_thought_is_a_first_token():
    with RawServer([STREAM, delta(reasoning="Hm")]) as server:
        assert client(server).stream("Hi", seconds=5).ttft_seconds is not None


def test_without_a_usage_block_no_speed_is_made_up():
    with RawServer([STREAM, delta(content="a"), delta(content="b")]) as server:
        found = tried(speed, client(server), LIMITS)

    assert found.ok is None
    assert "counted no tokens" in found.words


@pytest.mark.parametrize("counted", [10**400, -3, True, "7", None])
def test_a_count_that_nobody_believes_is_none(counted):
    usage = event({"choices": [], "usage": {"completion_tokens": counted}})
    with RawServer([STREAM, delta(content="a"), usage]) as server:
        assert client(server).stream("Hi", seconds=5).output_tokens is None


def test_an_answer_without_end_is_cut_by_its_size():
    endless = itertools.chain(
        [head("application/json")], itertools.repeat(b"[\n" * 999)
    )
    with RawServer(endless) as server, pytest.raises(WireError, match="1 MiB"):
        client(server).ask("Hi", seconds=60)


def test_a_stream_without_end_is_cut_by_its_deadline():
    endless = itertools.chain([STREAM], itertools.repeat(delta(content="a")))
    with RawServer(endless) as server, pytest.raises(WireError, match="within 1 s"):
        client(server).stream("Hi", seconds=1)


@pytest.mark.parametrize(
    "answer",
    [
        whole({"choices": []}),
        whole({"choices": "x"}),
        whole({}),
        head("application/json") + b"[" * 100_000,
        head("application/json") + b"\xff\xfe",
    ],
)
def test_what_is_no_answer_is_a_sentence(answer):
    with RawServer([answer]) as server, pytest.raises(WireError):
        client(server).ask("Hi", seconds=5)


def test_json_written_over_several_lines_is_read():
    body = (
        b'{\n "choices": [{"message": {"content": "{}"},\n "finish_reason": "stop"}]}'
    )
    with RawServer([head("application/json", len(body)) + body]) as server:
        assert tried(json_mode, client(server), LIMITS).ok is True


def test_valid_json_that_was_cut_proves_nothing():
    cut = {"message": {"content": "{}"}, "finish_reason": "length"}
    with RawServer([whole({"choices": [cut]})]) as server:
        assert tried(json_mode, client(server), LIMITS).ok is None


def test_a_quoted_refusal_can_be_stored():
    body = b'{"error": {"message": "no \\u0000 \\ud800 such mode"}}'
    refused = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
    sized = refused + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    with RawServer([sized]) as server:
        found = tried(json_mode, client(server), LIMITS)

    assert found.ok is False
    assert "such mode" in found.words
    assert "\0" not in found.words
    assert found.words.encode()


def test_whoever_asks_for_an_end_gets_it_at_once():
    def leave() -> None:
        raise GoneAway

    with RawServer([STREAM, *[b":\n"] * 3]) as server, pytest.raises(GoneAway):
        client(server, leave).stream("Hi", seconds=60)
