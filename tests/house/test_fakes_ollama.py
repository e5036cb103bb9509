"""The practice Ollama is checked against what was seen of the real one.

Status, headers, shapes and line order must hold, for raw HTTP and for the official
client.
"""

import json
import re
from datetime import datetime, timedelta

import httpx
import ollama
import pytest

pytest_plugins = ("tests.fakes.fixtures",)
HELLO = [{"role": "user", "content": "Dzień dobry, Straße"}]
DETAILS = [
    "parent_model",
    "format",
    "family",
    "families",
    "parameter_size",
    "quantization_level",
]


@pytest.fixture
def http(practice_ollama):
    with httpx.Client(base_url=practice_ollama.url, timeout=10) as http:
        yield http


@pytest.fixture
def client(practice_ollama):
    client = ollama.Client(host=practice_ollama.url)
    yield client
    client._client.close()


# 1. Basics
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_root_says_that_ollama_is_running(http, method):
    answer = http.request(method, "/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == ("Ollama is running" if method == "GET" else "")


def test_the_version_is_the_one_it_was_given(practice_ollama, http):
    assert http.get("/api/version").json() == {"version": "0.33.0"}
    practice_ollama.state.version = "0.12.0"
    assert http.get("/api/version").json() == {"version": "0.12.0"}
    assert http.head("/api/version").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/api/nothing", 404, "404 page not found"),
        ("GET", "/v1/nothing", 404, "404 page not found"),
        ("GET", "/api/chat", 405, "405 method not allowed"),
        ("POST", "/api/tags", 405, "405 method not allowed"),
    ],
)
def test_unknown_paths_and_wrong_methods_are_refused_in_plain_text(
    http, method, path, status, text
):
    answer = http.request(method, path)
    assert (answer.status_code, answer.text) == (status, text)
    assert answer.headers["content-type"] == "text/plain"


# 2. Read endpoints
def test_tags_have_the_keys_of_the_facts_newest_first(http):
    answer = http.get("/api/tags")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    rows = answer.json()["models"]
    assert [row["name"] for row in rows] == ["gemma3:4b", "phi3:mini"]
    row = rows[0]
    assert list(row) == [
        *("name", "model", "modified_at", "size", "digest", "details", "capabilities")
    ]
    assert list(row["details"]) == [*DETAILS, "context_length", "embedding_length"]
    assert re.fullmatch(r"[0-9a-f]{64}", row["digest"])
    assert datetime.fromisoformat(row["modified_at"]).tzinfo


def test_an_older_server_names_no_capabilities(practice_ollama, http):
    practice_ollama.state.version = "0.16.3"
    row = http.get("/api/tags").json()["models"][0]
    assert "capabilities" not in row
    assert list(row["details"]) == DETAILS


def test_ps_shows_a_loaded_model_with_its_memory_and_expiry(practice_ollama, http):
    assert http.get("/api/ps").json() == {"models": []}
    practice_ollama.state.vram_share = 0.5
    http.post("/api/generate", json={"model": "gemma3:4b"})
    [row] = http.get("/api/ps").json()["models"]
    assert list(row["details"]) == DETAILS
    assert 0 < row["size_vram"] < row["size"]
    assert row["context_length"] == 4096
    left = datetime.fromisoformat(row["expires_at"]) - datetime.now().astimezone()
    assert timedelta(minutes=4) < left <= timedelta(minutes=5)


def test_show_has_parameters_as_text_and_empties_long_arrays(http):
    shown = http.post("/api/show", json={"model": "gemma3:4b"}).json()
    assert 'stop                           "<|eot_id|>"' in shown["parameters"]
    architecture = shown["model_info"]["general.architecture"]
    assert shown["model_info"][f"{architecture}.context_length"] == 131072
    assert shown["model_info"]["tokenizer.ggml.tokens"] == []
    assert "general.name" not in shown["model_info"]
    full = http.post("/api/show", json={"name": "gemma3:4b", "verbose": True}).json()
    assert full["model_info"]["tokenizer.ggml.tokens"]


# 4. Delete
def test_a_deleted_model_is_gone_and_a_second_delete_is_404(http):
    first, second = (
        http.request("DELETE", "/api/delete", json={"model": "phi3:mini"})
        for _ in range(2)
    )
    assert (first.status_code, first.content) == (200, b"")
    assert (second.status_code, second.json()) == (
        404,
        {"error": "model 'phi3:mini' not found"},
    )


# 6. Errors
@pytest.mark.parametrize(
    ("path", "sent", "status", "error"),
    [
        ("/api/chat", b"", 400, "missing request body"),
        ("/api/chat", b'{"model": ', 400, "unexpected EOF"),
        ("/api/chat", b"{}", 400, "model is required"),
        ("/api/chat", b'{"model":"no"}', 404, "model 'no' not found"),
        ("/api/show", b'{"model":"no"}', 404, "model 'no' not found"),
        ("/api/generate", b'{"model":"no"}', 404, "model 'no' not found"),
        (
            "/api/generate",
            b'{"model":"gemma3:4b","keep_alive":"5"}',
            400,
            'time: missing unit in duration "5"',
        ),
        (
            "/api/chat",
            b'{"model":"phi3:mini","messages":[{"role":"user","content":"x"}],'
            b'"tools":[{"type":"function"}]}',
            400,
            "registry.ollama.ai/library/phi3:mini does not support tools",
        ),
    ],
)
def test_errors_are_one_sentence_under_the_key_error(http, path, sent, status, error):
    answer = http.post(path, content=sent)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"messages": "hi"}, 400),
        ({"options": {"num_ctx": "big"}}, 500),
        ({"options": {"num_predict": 1e999}}, 500),
        ({"keep_alive": [1]}, 400),
        ({"think": "sometimes"}, 400),
    ],
)
def test_fields_of_the_wrong_type_are_refused(http, wrong, status):
    body = {"model": "gemma3:4b", "messages": HELLO, **wrong}
    answer = http.post("/api/chat", content=json.dumps(body))
    assert answer.status_code == status
    assert answer.json()["error"]


def test_the_official_client_sees_a_missing_model_as_404(client):
    with pytest.raises(ollama.ResponseError) as refused:
        client.chat("no", HELLO)
    assert refused.value.status_code == 404
    assert refused.value.error == "model 'no' not found"
