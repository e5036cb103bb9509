"""The /v1 side of the practice Ollama, against the real shapes and client."""

import json

import httpx
import openai
import pytest

pytest_plugins = ("tests.fakes.fixtures",)
HELLO = [{"role": "user", "content": "Dzień dobry, Straße"}]
CHAT = {"model": "gemma3:4b", "messages": HELLO, "max_tokens": 3}


@pytest.fixture
def http(practice_ollama):
    with httpx.Client(base_url=practice_ollama.url, timeout=10) as http:
        yield http


@pytest.fixture
def client(practice_ollama):
    with openai.OpenAI(
        base_url=f"{practice_ollama.url}/v1", api_key="ignored", max_retries=0
    ) as client:
        yield client


def events_of(answer):
    assert answer.headers["content-type"] == "text/event-stream"
    *told, rest = answer.text.split("\n\n")
    assert rest == ""
    assert all(event.startswith("data: ") for event in told)
    assert told[-1] == "data: [DONE]"
    return [json.loads(event.removeprefix("data: ")) for event in told[:-1]]


def test_models_are_listed_with_their_owner_and_null_when_there_are_none(
    practice_ollama, http
):
    answer = http.get("/v1/models").json()
    assert answer["object"] == "list"
    row = answer["data"][0]
    assert list(row) == ["id", "object", "created", "owned_by"]
    assert (row["id"], row["owned_by"]) == ("gemma3:4b", "library")
    assert http.get("/v1/models/gemma3:4b").json() == row
    practice_ollama.state.models.clear()
    assert http.get("/v1/models").json()["data"] is None


def test_a_stream_has_the_role_once_a_finish_chunk_and_done(http):
    chunks = events_of(http.post("/v1/chat/completions", json={**CHAT, "stream": True}))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert len(chunks) == 4
    assert ["role" in delta for delta in deltas] == [True, False, False, False]
    assert deltas[-1] == {}
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons == [None, None, None, "length"]
    assert {chunk["system_fingerprint"] for chunk in chunks} == {"fp_ollama"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert not any("usage" in chunk for chunk in chunks)


def test_usage_comes_in_a_chunk_without_choices_only_when_asked(http):
    asked = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
    last = events_of(http.post("/v1/chat/completions", json=asked))[-1]
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 3,
        "total_tokens": 6,
    }


def test_stream_and_whole_answer_say_the_same(client):
    whole = client.chat.completions.create(**CHAT)
    stream = client.chat.completions.create(**CHAT, stream=True)
    told = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert told == whole.choices[0].message.content
    assert whole.usage.completion_tokens == 3
    assert whole.choices[0].finish_reason == "length"
    assert whole.id.startswith("chatcmpl-")


def test_max_completion_tokens_is_ignored_as_the_real_one_ignores_it(client):
    answer = client.chat.completions.create(
        model="gemma3:4b", messages=HELLO, max_completion_tokens=2
    )
    assert answer.usage.completion_tokens > 2
    assert answer.choices[0].finish_reason == "stop"


def test_thoughts_arrive_as_reasoning(practice_ollama, http):
    practice_ollama.state.add_model("qwen3:0.6b")
    body = {"model": "qwen3:0.6b", "messages": HELLO}
    message = http.post("/v1/chat/completions", json=body).json()["choices"][0]
    assert message["message"]["reasoning"]
    quiet = http.post("/v1/chat/completions", json={**body, "reasoning_effort": "none"})
    assert "reasoning" not in quiet.json()["choices"][0]["message"]


def test_plain_completions_work_whole_and_streamed(client):
    asked = {"model": "gemma3:4b", "prompt": "raz dwa", "max_tokens": 4}
    whole = client.completions.create(**asked)
    stream = client.completions.create(**asked, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == whole.choices[0].text
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (2, 4)


def test_embeddings_are_the_same_as_numbers_and_as_base64(client, http):
    asked = {"model": "gemma3:4b", "input": ["kot", "dom"]}
    numbers = http.post("/v1/embeddings", json=asked).json()["data"][0]["embedding"]
    decoded = client.embeddings.create(**asked)
    assert decoded.data[0].embedding == pytest.approx(numbers, abs=1e-6)
    assert decoded.usage.prompt_tokens == 2


def test_a_missing_model_is_a_404_in_the_openai_shape(http, client):
    answer = http.post("/v1/chat/completions", json={**CHAT, "model": "no"})
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {
            "message": "model 'no' not found",
            "type": "not_found_error",
            "param": None,
            "code": None,
        }
    }
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no")


def test_no_messages_are_a_400_in_the_openai_shape(client):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="gemma3:4b", messages=[])
    assert refused.value.body["type"] == "invalid_request_error"
