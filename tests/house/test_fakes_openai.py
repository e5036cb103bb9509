"""The practice OpenAI-compatible server, against what a real vLLM was seen to do."""

import json

import httpx
import openai
import pytest

pytest_plugins = ("tests.fakes.fixtures",)
HELLO = [{"role": "user", "content": "Dzień dobry, Straße"}]
CHAT = {"model": "practice-7b", "messages": HELLO, "max_tokens": 3}


@pytest.fixture
def http(practice_openai):
    with httpx.Client(base_url=practice_openai.url, timeout=10) as http:
        yield http


@pytest.fixture
def client(practice_openai):
    with openai.OpenAI(
        base_url=f"{practice_openai.url}/v1", api_key="none", max_retries=0
    ) as client:
        yield client


def chunks_of(answer):
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    *told, rest = answer.text.split("\n\n")
    assert (told[-1], rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in told[:-1]]


def test_health_is_empty_and_503_when_the_engine_is_dead(practice_openai, http):
    answer = http.get("/health")
    assert (answer.status_code, answer.headers["content-length"]) == (200, "0")
    assert "content-type" not in answer.headers
    practice_openai.state.is_healthy = False
    assert http.get("/health").status_code == 503
    dead = http.post("/v1/chat/completions", json=CHAT)
    assert dead.status_code == 500
    assert dead.json()["error"]["type"] == "InternalServerError"


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/v1/nothing", 404, "Not Found"),
        ("GET", "/v1/models/practice-7b", 404, "Not Found"),
        ("GET", "/v1/chat/completions", 405, "Method Not Allowed"),
    ],
)
def test_unknown_paths_and_wrong_methods(http, method, path, status, detail):
    answer = http.request(method, path)
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})
    assert http.head("/health").status_code == 405


def test_the_version_and_the_served_models_are_told(http):
    assert http.get("/version").json() == {"version": "0.32.0"}
    [row] = http.get("/v1/models").json()["data"]
    assert (row["id"], row["owned_by"]) == ("practice-7b", "vllm")
    assert (row["root"], row["max_model_len"]) == ("/models/practice-7b", 4096)


def test_every_alias_is_served_and_answers_bear_the_first(practice_openai, client):
    practice_openai.state.add_model("second-name")
    assert [m.id for m in client.models.list()] == ["practice-7b", "second-name"]
    answer = client.chat.completions.create(**{**CHAT, "model": "second-name"})
    assert answer.model == "practice-7b"


def test_the_first_chunk_has_the_role_and_the_last_text_the_finish_reason(http):
    chunks = chunks_of(http.post("/v1/chat/completions", json={**CHAT, "stream": True}))
    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert len(chunks) == 4
    assert choices[-1]["delta"]["content"]
    reasons = [choice["finish_reason"] for choice in choices]
    assert reasons == [None, None, None, "length"]
    assert not any("usage" in chunk for chunk in chunks)


def test_usage_in_a_stream_comes_last_and_only_when_asked(client):
    stream = client.chat.completions.create(
        **CHAT, stream=True, stream_options={"include_usage": True}
    )
    last = list(stream)[-1]
    assert last.choices == []
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (3, 3)


def test_stream_and_whole_answer_say_the_same(client):
    whole = client.chat.completions.create(**CHAT)
    stream = client.chat.completions.create(**CHAT, stream=True)
    told = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert told == whole.choices[0].message.content
    assert whole.usage.total_tokens == 6


def test_completions_and_embeddings_answer_the_official_client(client):
    asked = {"model": "practice-7b", "prompt": "raz dwa", "max_tokens": 4}
    whole = client.completions.create(**asked)
    stream = client.completions.create(**asked, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == whole.choices[0].text
    vectors = client.embeddings.create(model="practice-7b", input=["kot", "dom"])
    assert [row.index for row in vectors.data] == [0, 1]


def test_a_request_without_a_model_is_served(http):
    answer = http.post("/v1/chat/completions", json={"messages": HELLO})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "kind", "message"),
    [
        (
            {**CHAT, "model": "no-such-model"},
            404,
            "NotFoundError",
            "The model `no-such-model` does not exist. Valid aliases: practice-7b.",
        ),
        (
            {**CHAT, "messages": []},
            400,
            "BadRequestError",
            "Cannot apply chat template to an empty conversation. "
            "Provide at least one message.",
        ),
        (
            {**CHAT, "max_tokens": 100000},
            400,
            "BadRequestError",
            "max_tokens=100000 cannot be greater than max_model_len=4096. Please "
            "request fewer output tokens. (parameter=max_tokens, value=100000)",
        ),
        (
            {**CHAT, "stream_options": {"include_usage": True}},
            400,
            "BadRequestError",
            "Stream options can only be defined when `stream=True`. "
            "(parameter=stream_options)",
        ),
        (
            {"model": "practice-7b"},
            400,
            "Bad Request",
            "1 validation error:\n  {'type': 'missing', 'loc': 'body.messages', "
            "'msg': 'Field required', 'input': '<dict of 1 items>'}",
        ),
    ],
)
def test_errors_have_the_words_of_vllm(http, body, status, kind, message):
    answer = http.post("/v1/chat/completions", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, status)
    assert (error["type"], error["message"]) == (kind, message)


@pytest.mark.parametrize("wrong", [{"messages": "hi"}, {"max_tokens": "many"}])
def test_a_field_of_the_wrong_type_is_a_400(http, wrong):
    answer = http.post("/v1/chat/completions", json={**CHAT, **wrong})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "Bad Request")
    assert error["param"] == f"body.{next(iter(wrong))}"


def test_broken_json_is_told_with_its_place(http):
    answer = http.post("/v1/chat/completions", content=b'{"model": ')
    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "message": "1 validation error:\n  {'type': 'json_invalid', 'loc': 'body.10', "
        "'msg': 'JSON decode error', 'input': '<dict of 0 items>', "
        "'ctx': {'error': 'Expecting value'}}",
        "type": "Bad Request",
        "param": "body.10",
        "code": 400,
    }


def test_a_key_guards_v1_only(practice_openai, http, client):
    practice_openai.state.api_key = "sesame"
    assert http.get("/health").status_code == 200
    with pytest.raises(openai.AuthenticationError) as refused:
        client.models.list()
    assert refused.value.body["code"] == "invalid_api_key"
    allowed = client.with_options(api_key="sesame").models.list()
    assert [model.id for model in allowed] == ["practice-7b"]


def test_a_planned_401_has_the_string_error_of_vllm(practice_openai, http):
    practice_openai.state.faults.plan("/v1/models", "status:401")
    answer = http.get("/v1/models")
    assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})
