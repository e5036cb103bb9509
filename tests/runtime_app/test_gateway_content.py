"""What the history learns of an answer: its words, its tokens and their details."""

from __future__ import annotations

import json

import pytest

from runtime_app.gateway.answer_text import AnswerText
from tests.fakes.raw import RawServer, event, head, whole
from venom_site.lib.access import Scope

MODEL = "gemma3:4b"
PROMPT = [{"role": "user", "content": "Opowiedz mi o żółwiu"}]
CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
USAGE = {
    "prompt_tokens": 50,
    "completion_tokens": 30,
    "prompt_tokens_details": {"cached_tokens": 48},
    "completion_tokens_details": {"reasoning_tokens": 20},
}


@pytest.fixture
def storing(start_gateway, deadlines, practice_ollama):
    """storing("full") → a gateway that keeps as much of contents."""

    def make(kept: str):
        deadlines(VENOM_STORE_PROMPTS=kept)
        gateway = start_gateway()
        gateway.add("ollama", practice_ollama.url, MODEL, active=MODEL)
        return gateway

    return make


def said_by(gateway, *, stream: bool, path: str = CHAT, **fields) -> str:
    """Ask through the official client; the words it got."""
    client = gateway.openai()
    if path == COMPLETIONS:
        answer = client.completions.create(
            model=MODEL, prompt="Hello", stream=stream, **fields
        )
        chunks = list(answer) if stream else [answer]
        return "".join(chunk.choices[0].text for chunk in chunks)
    answer = client.chat.completions.create(
        model=MODEL, messages=PROMPT, stream=stream, **fields
    )
    if not stream:
        return answer.choices[0].message.content
    return "".join(chunk.choices[0].delta.content or "" for chunk in answer)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("stream", [False, True])
def test_all_of_an_answer_is_kept_when_all_is_to_be_kept(
    storing, practice_ollama, stream, path
):
    practice_ollama.state.answer_tokens = 600
    gateway = storing("full")
    said = said_by(gateway, stream=stream, path=path)
    assert len(said) > 2000
    assert gateway.record().answer_preview == said


@pytest.mark.parametrize("stream", [False, True])
def test_only_the_beginning_is_kept_by_default(storing, practice_ollama, stream):
    practice_ollama.state.answer_tokens = 600
    gateway = storing("preview")
    said = said_by(gateway, stream=stream)
    kept = gateway.record().answer_preview
    assert 500 <= len(kept) <= 700
    assert said.startswith(kept)


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_is_kept_when_nothing_is_to_be_kept(storing, stream):
    gateway = storing("none")
    assert said_by(gateway, stream=stream)
    assert gateway.record().answer_preview == ""


def test_a_cut_answer_leaves_what_came(storing, practice_ollama):
    gateway = storing("full")
    practice_ollama.state.answer_tokens = 20
    practice_ollama.state.faults.plan(CHAT, "cut_after_tokens:3")
    body = {"model": MODEL, "messages": PROMPT, "stream": True}
    gateway.http().post(CHAT, json=body)
    row = gateway.record()
    assert row.partial
    assert len(row.answer_preview.split()) == 3


def test_a_fallbacks_answer_is_the_one_that_is_kept(
    storing, practice_ollama, practice_openai
):
    gateway = storing("full")
    gateway.add("lab", practice_openai.url, "practice-7b")
    practice_ollama.state.faults.plan(CHAT, "status:500")
    said = said_by(gateway, stream=True)
    assert gateway.record().answer_preview == said


@pytest.mark.parametrize(
    "deltas",
    [
        [{"content": "Za"}, {"content": "żółć\n"}, {"content": '"q" \\ 🐢'}],
        [{"role": "assistant"}, {"content": None}, {"content": ""}],
        [{"reasoning": "hm"}, {"content": "ja"}],
        [{"content": 'He said "content": "no" and \\"content\\": \\"x\\"'}],
    ],
)
def test_the_words_are_picked_out_of_raw_events(deltas):
    found = AnswerText(CHAT, 1000)
    for delta in deltas:
        found.add(event({"choices": [{"index": 0, "delta": delta}]}))
    assert found.text() == "".join(delta.get("content") or "" for delta in deltas)


def test_a_letter_that_came_in_two_halves_is_one():
    found = AnswerText(CHAT, 1000)
    for half in ("\ud83d", "\udc22"):
        found.add(event({"choices": [{"delta": {"content": half}}]}))
    assert found.text() == "🐢"


def test_words_beyond_what_is_kept_are_not_looked_at():
    found = AnswerText(CHAT, 10)
    chunk = event({"choices": [{"delta": {"content": "x" * 100}}]})
    added = 0
    while not found.is_full:
        found.add(chunk)
        added += len(chunk)
    assert found.text() == "x" * 10
    assert added < 40_000


def test_embeddings_have_no_words():
    found = AnswerText("/v1/embeddings", 1000)
    assert found.is_full
    found.read_whole(b'{"content": "a"}')
    assert found.text() == ""


@pytest.mark.parametrize("stream", [False, True])
def test_cached_and_reasoning_tokens_have_their_columns(gateway, stream):
    said = {"choices": [{"delta": {"content": "a"}, "message": {"content": "a"}}]}
    events = [
        head("text/event-stream"),
        event(said),
        event({"choices": [], "usage": USAGE}),
        b"data: [DONE]\n\n",
    ]
    answer = events if stream else [whole(said | {"usage": USAGE})]
    with RawServer(answer) as server:
        gateway.add("lab", server.url, "m", active="m")
        body = {"messages": PROMPT, "stream": stream}
        assert gateway.http().post(CHAT, json=body).status_code == 200
        row = gateway.record()
    assert (row.input_tokens, row.output_tokens) == (50, 30)
    assert (row.cached_input_tokens, row.reasoning_tokens) == (48, 20)
    assert row.usage_estimated is False


@pytest.mark.parametrize("details", [None, [], {"cached_tokens": "many"}, 7])
def test_odd_details_of_usage_harm_nothing(gateway, details):
    usage = USAGE | {"prompt_tokens_details": details}
    answer = {"choices": [{"message": {"content": "a"}}], "usage": usage}
    with RawServer([whole(answer)]) as server:
        gateway.add("lab", server.url, "m", active="m")
        gateway.http().post(CHAT, json={"messages": PROMPT}).raise_for_status()
        row = gateway.record()
    assert (row.input_tokens, row.cached_input_tokens) == (50, None)


def test_a_request_from_inside_that_keeps_nothing_leaves_no_words(
    start_gateway, practice_ollama
):
    """The contents of a task with `store: false` are nobody's."""
    import asyncio

    from history_app.models import RequestRecord
    from history_app.recorder import recorder
    from runtime_app.gateway.app import Gateway
    from runtime_app.gateway.entries import Inside, KeyEntry
    from tests.serving import add_server
    from venom_site.lib.ids import uuid7

    add_server("ollama", practice_ollama.url, MODEL, active=MODEL)
    row_id, sent = uuid7(), []
    key = KeyEntry(
        id="k", name="task", scopes=frozenset({Scope.INFERENCE}), expires_at=None
    )
    inside = Inside(key=key, row_id=row_id, path="/api/v1/tasks", keeps_contents=False)

    async def ask():
        app, body = Gateway(), json.dumps({"messages": PROMPT}).encode()
        asked = [{"type": "http.request", "body": body}]

        async def receive():
            return asked.pop() if asked else await asyncio.Event().wait()

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "path": CHAT,
            "method": "POST",
            "headers": [],
            "venom.inside": inside,
        }
        await app(scope, receive, send)
        await app.stop()

    asyncio.run(ask())
    assert sent[0]["status"] == 200
    recorder.flush()
    row = RequestRecord.objects.get(pk=row_id)
    assert (row.path, row.key_name) == ("/api/v1/tasks", "task")
    assert (row.prompt_preview, row.answer_preview) == ("", "")
    assert row.output_tokens
