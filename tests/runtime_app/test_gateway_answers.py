"""The gateway as the official OpenAI client sees it: answers, headers, history."""

import json

import pytest

from history_app.choices import RequestStatus

MODEL = "gemma3:4b"
PROMPT = [{"role": "user", "content": "Napisz o żółwiu: zażółć gęślą jaźń — 你好 🐢"}]


@pytest.fixture
def ollama(gateway, practice_ollama):
    gateway.add("ollama", practice_ollama.url, MODEL, "phi3:mini", active=MODEL)
    return practice_ollama


def test_a_plain_answer_comes_back_as_the_server_wrote_it(gateway, ollama):
    answer = gateway.openai().chat.completions.create(model=MODEL, messages=PROMPT)
    assert answer.choices[0].message.content
    assert answer.model == MODEL
    seen = ollama.state.last_bodies["/v1/chat/completions"]
    assert seen == {"model": MODEL, "messages": PROMPT}


def test_a_stream_gives_the_same_text_as_a_plain_answer(gateway, ollama):
    client = gateway.openai()
    plain = client.chat.completions.create(model=MODEL, messages=PROMPT)
    stream = client.chat.completions.create(model=MODEL, messages=PROMPT, stream=True)
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks)
    assert text == plain.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_client_that_did_not_ask_for_usage_gets_no_usage_chunk(gateway, ollama):
    stream = gateway.openai().chat.completions.create(
        model=MODEL, messages=PROMPT, stream=True
    )
    assert all(chunk.choices and chunk.usage is None for chunk in stream)
    row = gateway.record()
    assert row.output_tokens
    assert row.usage_estimated is False


def test_a_client_that_asked_for_usage_gets_the_chunk(gateway, ollama):
    stream = gateway.openai().chat.completions.create(
        model=MODEL,
        messages=PROMPT,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert chunks[-1].choices == []
    assert gateway.record().output_tokens == chunks[-1].usage.completion_tokens


def test_headers_and_history_say_who_answered(gateway, ollama):
    client = gateway.openai()
    answer = client.chat.completions.with_raw_response.create(
        model="auto", messages=PROMPT, temperature=0.5
    )
    headers = answer.headers
    assert headers["x-venom-provider"] == "ollama"
    assert headers["x-venom-model"] == MODEL
    assert headers["x-venom-endpoint"] == f"{ollama.url}/v1"
    assert headers["x-venom-attempts"] == "1"
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    row = gateway.record(request_id=headers["x-venom-request-id"])
    assert answer.parse()._request_id == row.request_id
    assert row.status == RequestStatus.COMPLETED
    assert (row.llm_provider, row.llm_model) == ("ollama", MODEL)
    assert row.llm_endpoint == f"{ollama.url}/v1"
    assert (row.requested_model, row.runtime) == ("auto", "ollama")
    assert (row.key_name, row.http_status, row.attempts) == ("bot", 200, 1)
    assert row.parameters == {"temperature": 0.5}
    assert row.prompt_preview == PROMPT[0]["content"]
    usage = answer.parse().usage
    assert (row.input_tokens, row.output_tokens) == (
        usage.prompt_tokens,
        usage.completion_tokens,
    )
    assert 0 < row.overhead_seconds < row.duration_seconds


def test_a_well_formed_request_id_is_taken_over(gateway, ollama):
    answer = gateway.http().post(
        "/v1/chat/completions",
        json={"messages": PROMPT},
        headers={"X-Request-Id": "job-4711.a"},
    )
    assert answer.headers["x-venom-request-id"] == "job-4711.a"
    assert gateway.record(request_id="job-4711.a").status == RequestStatus.COMPLETED


def test_unknown_fields_and_their_bytes_pass_through(gateway, ollama):
    body = json.dumps({"model": MODEL, "messages": PROMPT, "x_mine": [1.50, None]})
    gateway.http().post("/v1/chat/completions", content=body).raise_for_status()
    seen = ollama.state.last_bodies["/v1/chat/completions"]
    assert seen["x_mine"] == [1.5, None]


def test_the_clients_key_never_reaches_the_server(gateway, ollama):
    gateway.openai().chat.completions.create(model=MODEL, messages=PROMPT)
    headers = ollama.state.last_headers["/v1/chat/completions"]
    assert "authorization" not in {name.lower() for name in headers}
    assert gateway.key not in str(headers)


def test_the_servers_own_key_is_sent_to_it(gateway, practice_openai):
    from venom_site.lib.secrets import encrypt

    practice_openai.state.api_key = "k-secret-of-the-server"
    gateway.add(
        "lab",
        practice_openai.url,
        "practice-7b",
        active="practice-7b",
        encrypted_key=encrypt("k-secret-of-the-server"),
    )
    answer = gateway.openai().chat.completions.create(model="auto", messages=PROMPT)
    assert answer.choices[0].message.content


def test_the_other_endpoints_are_served_as_well(gateway, ollama):
    client = gateway.openai()
    text = client.completions.create(model=MODEL, prompt="Dzień dobry")
    assert text.choices[0].text
    vectors = client.embeddings.create(model=MODEL, input=["a", "b"])
    assert len(vectors.data) == 2
    assert gateway.record(path="/v1/embeddings").input_tokens


def test_the_list_names_every_model_and_the_active_one_first(
    gateway, ollama, practice_openai
):
    gateway.add("lab", practice_openai.url, "practice-7b")
    models = gateway.openai().models.list().data
    assert [model.id for model in models] == [MODEL, "phi3:mini", "practice-7b"]
    assert [model.owned_by for model in models] == ["ollama", "ollama", "lab"]
    assert [model.active for model in models] == [True, False, False]


@pytest.mark.parametrize("name", [MODEL, "gemma3%3A4b", "ollama/gemma3:4b"])
def test_one_model_is_found_by_its_name(gateway, ollama, name):
    assert gateway.http().get(f"/v1/models/{name}").json()["id"] == MODEL


def test_another_model_of_the_active_ollama_is_simply_sent(gateway, ollama):
    answer = gateway.openai().chat.completions.with_raw_response.create(
        model="phi3:mini", messages=PROMPT
    )
    assert answer.headers["x-venom-model"] == "phi3:mini"


def test_a_prefix_forces_a_server_that_is_not_active(gateway, ollama, practice_openai):
    gateway.add("lab", practice_openai.url, "practice-7b")
    answer = gateway.openai().chat.completions.with_raw_response.create(
        model="lab/practice-7b", messages=PROMPT
    )
    assert answer.headers["x-venom-provider"] == "lab"
    seen = practice_openai.state.last_bodies["/v1/chat/completions"]
    assert seen["model"] == "practice-7b"


def test_a_large_body_is_carried_whole(gateway, ollama):
    long = "słowo " * 400_000
    answer = gateway.http().post(
        "/v1/embeddings", json={"model": MODEL, "input": long}, timeout=30
    )
    assert answer.status_code == 200
    assert ollama.state.last_bodies["/v1/embeddings"]["input"] == long


def test_a_server_that_went_and_came_back_is_used_at_once(gateway, ollama):
    client = gateway.openai()
    client.chat.completions.create(model=MODEL, messages=PROMPT)
    ollama.stop()
    ollama.start()
    client.chat.completions.create(model=MODEL, messages=PROMPT)


@pytest.mark.slow
def test_an_activation_is_seen_within_a_second(gateway, ollama):
    from runtime_app.governance.policy import bump_policy
    from runtime_app.models import Activation
    from tests.fakes.waiting import wait_until

    Activation.objects.update(model_name="phi3:mini", served_name="phi3:mini")
    bump_policy()
    client = gateway.openai()

    def answered_by() -> str:
        return client.chat.completions.create(model="auto", messages=PROMPT).model

    wait_until(lambda: answered_by() == "phi3:mini", seconds=1.5)
