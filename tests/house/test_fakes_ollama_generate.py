"""Chat, generate, embed and keep_alive of the practice Ollama."""

import json
import re
from datetime import datetime

import httpx
import ollama
import pytest

from tests.fakes.waiting import wait_until

pytest_plugins = ("tests.fakes.fixtures",)
HELLO = [{"role": "user", "content": "Dzień dobry, Straße"}]
NANOSECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


@pytest.fixture
def http(practice_ollama):
    with httpx.Client(base_url=practice_ollama.url, timeout=10) as http:
        yield http


@pytest.fixture
def client(practice_ollama):
    client = ollama.Client(host=practice_ollama.url)
    yield client
    client._client.close()


def lines_of(answer):
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.content.endswith(b"\n")
    return [json.loads(line) for line in answer.content.splitlines()]


def loaded_names(http):
    return [row["name"] for row in http.get("/api/ps").json()["models"]]


def test_chat_streams_unless_told_otherwise_and_counts_its_tokens(http):
    body = {
        "model": "gemma3:4b",
        "messages": HELLO,
        "options": {"num_predict": 5},
    }
    *told, last = lines_of(http.post("/api/chat", json=body))
    assert len(told) == 5
    assert all(line["message"]["role"] == "assistant" for line in told)
    assert all(NANOSECONDS.fullmatch(line["created_at"]) for line in [*told, last])
    assert (last["done"], last["done_reason"]) == (True, "length")
    assert (last["prompt_eval_count"], last["eval_count"]) == (3, 5)
    assert last["eval_duration"] > 0
    whole = http.post("/api/chat", json={**body, "stream": False})
    assert whole.headers["content-type"] == "application/json; charset=utf-8"
    text = "".join(line["message"]["content"] for line in told)
    assert whole.json()["message"]["content"] == text


def test_generate_answers_in_response_and_ends_with_a_context(http):
    body = {"model": "gemma3:4b", "prompt": "Grüße"}
    *told, last = lines_of(http.post("/api/generate", json=body))
    assert "".join(line["response"] for line in told)
    assert last["done_reason"] == "stop"
    assert len(last["context"]) == last["eval_count"] == len(told)


def test_the_same_prompt_gets_the_same_answer_and_another_one_does_not(client):
    first, again, other = (
        client.generate("gemma3:4b", prompt).response for prompt in ("a", "a", "b")
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("keep_alive", "minutes"), [(600, 10), ("10m", 10), ("1h30m", 90), (None, 5)]
)
def test_keep_alive_sets_how_long_a_model_stays(http, keep_alive, minutes):
    body = {"model": "gemma3:4b", "messages": [], "keep_alive": keep_alive}
    answer = http.post("/api/chat", json=body)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert (answer.json()["done"], answer.json()["done_reason"]) == (True, "load")
    [row] = http.get("/api/ps").json()["models"]
    left = datetime.fromisoformat(row["expires_at"]) - datetime.now().astimezone()
    assert left.total_seconds() == pytest.approx(minutes * 60, abs=10)


def test_a_negative_keep_alive_stays_for_centuries_and_zero_unloads(http):
    for given in (-1, "-1m"):
        http.post("/api/chat", json={"model": "gemma3:4b", "keep_alive": given})
        [row] = http.get("/api/ps").json()["models"]
        assert datetime.fromisoformat(row["expires_at"]).year > 2300
    answer = http.post("/api/chat", json={"model": "gemma3:4b", "keep_alive": 0})
    assert answer.json()["done_reason"] == "unload"
    wait_until(lambda: not loaded_names(http))


def test_keep_alive_zero_unloads_after_the_answer(http):
    body = {"model": "gemma3:4b", "prompt": "hi", "keep_alive": "0"}
    assert lines_of(http.post("/api/generate", json=body))[-1]["done_reason"] == "stop"
    wait_until(lambda: not loaded_names(http))


def test_thinking_comes_first_where_the_model_can_and_is_refused_elsewhere(
    practice_ollama, http
):
    practice_ollama.state.add_model("qwen3:0.6b")
    body = {"model": "qwen3:0.6b", "messages": HELLO, "stream": False}
    assert http.post("/api/chat", json=body).json()["message"]["thinking"]
    silent = http.post("/api/chat", json={**body, "think": False}).json()
    assert "thinking" not in silent["message"]
    refused = http.post("/api/chat", json={**body, "model": "gemma3:4b", "think": True})
    assert (refused.status_code, refused.json()) == (
        400,
        {"error": '"gemma3:4b" does not support thinking'},
    )


def test_embed_returns_one_vector_per_text(client):
    answer = client.embed("gemma3:4b", ["kot", "dom"])
    assert len(answer.embeddings) == 2
    assert answer.prompt_eval_count == 2


def test_what_only_embeds_is_loaded_by_embed_alone_and_unloaded_by_all(
    http, practice_ollama
):
    name = "nomic-embed-text:latest"
    practice_ollama.state.add_model(name)
    for verb in ("chat", "generate"):
        refused = http.post(f"/api/{verb}", json={"model": name})
        assert (refused.status_code, refused.json()) == (
            400,
            {"error": f'"{name}" does not support {verb}'},
        )
    assert loaded_names(http) == []
    for verb in ("chat", "generate"):
        http.post("/api/embed", json={"model": name, "input": "kot"})
        assert loaded_names(http) == [name]
        gone = http.post(f"/api/{verb}", json={"model": name, "keep_alive": 0})
        assert gone.json()["done_reason"] == "unload"
        wait_until(lambda: not loaded_names(http))
