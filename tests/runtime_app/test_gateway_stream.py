"""The event filter: what passes, what is withheld, what is learnt. Pure."""

import json

import pytest

from runtime_app.gateway.stream import (
    MOST_EVENT_BYTES,
    EventFilter,
    MalformedStream,
    Usage,
    tokens_of,
    usage_in,
)

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}


def chunk(content: str | None = None, finish: str | None = None, **more) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    fields = {"id": "c-1", "choices": [choice], **more}
    return b"data: " + json.dumps(fields, ensure_ascii=False).encode() + b"\n\n"


def usage_chunk() -> bytes:
    fields = {"id": "c-1", "choices": [], "usage": USAGE}
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


STREAM = chunk("") + chunk("Zażółć ") + chunk("gęślą", "stop") + usage_chunk() + DONE


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_a_stream_in_pieces_of_any_size_comes_out_whole(size):
    events = EventFilter(wants_usage=True)
    pieces = (STREAM[i : i + size] for i in range(0, len(STREAM), size))
    assert b"".join(events.feed(piece) for piece in pieces) == STREAM
    assert events.is_complete
    assert events.usage == Usage(5, 4)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_only_the_usage_chunk_is_withheld_from_who_did_not_ask(size):
    events = EventFilter(wants_usage=False)
    pieces = (STREAM[i : i + size] for i in range(0, len(STREAM), size))
    out = b"".join(events.feed(piece) for piece in pieces)
    assert out == STREAM.replace(usage_chunk(), b"")
    assert events.usage == Usage(5, 4)


def test_lines_that_end_in_carriage_returns_are_events_too():
    stream = STREAM.replace(b"\n", b"\r\n")
    events = EventFilter(wants_usage=False)
    out = events.feed(stream)
    assert out == stream.replace(usage_chunk().replace(b"\n", b"\r\n"), b"")
    assert events.is_complete


def test_comments_and_usage_in_the_words_of_the_model_pass():
    spoken = chunk('He said "usage": {"prompt_tokens": 1} and [DONE] and "abort"')
    stream = b": ping\n\n" + spoken + chunk("", "stop") + DONE
    events = EventFilter(wants_usage=False)
    assert events.feed(stream) == stream
    assert events.usage is None
    assert events.is_complete


def test_usage_null_in_every_chunk_is_nothing_special():
    stream = chunk("a", usage=None) + usage_chunk() + DONE
    events = EventFilter(wants_usage=False)
    assert events.feed(stream) == chunk("a", usage=None) + DONE


def test_usage_inside_a_chunk_with_text_passes_and_is_learnt():
    stream = chunk("a", "stop", usage=USAGE) + DONE
    events = EventFilter(wants_usage=False)
    assert events.feed(stream) == stream
    assert events.usage == Usage(5, 4)


def test_an_aborted_stream_loses_its_end_and_is_not_complete():
    events = EventFilter(wants_usage=False)
    out = events.feed(chunk("a") + chunk("", "abort") + usage_chunk() + DONE)
    assert out == chunk("a")
    assert events.failure == "abort"
    assert not events.is_complete


def test_an_error_event_of_the_server_passes_but_no_done_after_it():
    error = b'data: {"error": {"message": "engine dead", "code": 500}}\n\n'
    events = EventFilter(wants_usage=False)
    assert events.feed(chunk("a") + error + DONE) == chunk("a") + error
    assert b"engine dead" in events.error_sent
    assert not events.is_complete


def test_half_an_event_is_held_back():
    events = EventFilter(wants_usage=False)
    assert events.feed(chunk("a") + b'data: {"cho') == chunk("a")
    assert not events.is_complete


def test_a_finish_reason_is_an_end_for_servers_that_send_no_done():
    events = EventFilter(wants_usage=False)
    events.feed(chunk("a") + chunk("", "length"))
    assert events.is_complete


def test_the_first_token_is_the_first_text_not_the_role():
    events = EventFilter(wants_usage=False)
    events.feed(chunk(""))
    assert not events.has_token
    events.feed(chunk(None))
    assert not events.has_token
    events.feed(chunk("a"))
    assert events.has_token


@pytest.mark.parametrize(
    "delta",
    [{"reasoning": "hm"}, {"reasoning_content": "hm"}, {"tool_calls": [{"id": 1}]}],
)
def test_thoughts_and_calls_of_tools_are_tokens(delta):
    events = EventFilter(wants_usage=False)
    events.feed(
        b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\n"
    )
    assert events.has_token


def test_characters_are_estimated_within_a_fifth():
    words = ["słowo ", "i ", "następne ", "długie-długie ", "x "] * 40
    events = EventFilter(wants_usage=False)
    for word in words:
        events.feed(chunk(word))
    plain = len("".join(words))
    assert 0.8 * plain < events.estimated_characters() < 1.2 * plain


@pytest.mark.parametrize("text", [b"", b"\n\n", b"\n\n\n\n", b"data:\n\n", b"x"])
def test_odd_bytes_harm_nothing(text):
    events = EventFilter(wants_usage=False)
    assert events.feed(text) in (text, b"")


@pytest.mark.parametrize(
    "first", [b"data: <html>\n\n", b'data: {"id": \n\n', b"data: [1]\n\n"]
)
def test_a_first_event_that_is_no_object_is_no_answer(first):
    with pytest.raises(MalformedStream):
        EventFilter(wants_usage=False).feed(b": ping\n\n" + first)


def test_an_event_without_end_is_no_event_stream():
    events = EventFilter(wants_usage=False)
    with pytest.raises(MalformedStream):
        events.feed(b"x" * (MOST_EVENT_BYTES + 1))


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        (json.dumps({"usage": USAGE}).encode(), Usage(5, 4)),
        (b'{"usage": {"prompt_tokens": 7, "total_tokens": 7}}', Usage(7, None)),
        (b'{"usage": {"prompt_tokens": "7"}}', None),
        (b'{"usage": {"prompt_tokens": -7, "completion_tokens": 9e99}}', None),
        (b'{"usage": {"prompt_tokens": 99999999999}}', None),
        (b'{"usage": {"prompt', None),
        (b'{"content": "\\"usage\\": {\\"prompt_tokens\\": 3}"}', None),
        (b"", None),
    ],
)
def test_usage_of_a_whole_answer_is_read_without_trust(answer, usage):
    assert usage_in(answer) == usage


def test_four_characters_make_a_token():
    assert [tokens_of(n) for n in (0, 1, 4, 5)] == [0, 1, 1, 2]
