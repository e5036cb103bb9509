"""The real llama.cpp server answers the official client as observed."""

import httpx
import openai
import pytest

from tests.fakes.words import WORDS

pytest_plugins = ("tests.real.fixtures",)
pytestmark = [pytest.mark.real, pytest.mark.process]
HELLO = [{"role": "user", "content": "Zażółć gęślą jaźń"}]


@pytest.fixture
def client(real_llama_server):
    with openai.OpenAI(
        base_url=f"{real_llama_server.url}/v1", api_key="none", max_retries=0
    ) as client:
        yield client


def test_it_is_healthy_and_names_its_alias(real_llama_server, client):
    health = httpx.get(f"{real_llama_server.url}/health")
    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    assert [model.id for model in client.models.list()] == [real_llama_server.model]


def test_it_answers_in_words_of_the_tiny_model_and_counts_them(
    real_llama_server, client
):
    answer = client.chat.completions.create(
        model=real_llama_server.model, messages=HELLO, max_tokens=6
    )
    words = answer.choices[0].message.content.split()
    assert set(words) <= set(WORDS)
    assert len(words) == answer.usage.completion_tokens == 6
    assert answer.choices[0].finish_reason == "length"


def test_its_stream_ends_with_a_finish_chunk_and_then_the_usage(
    real_llama_server, client
):
    chunks = list(
        client.chat.completions.create(
            model=real_llama_server.model,
            messages=HELLO,
            max_tokens=6,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    *told, finish, last = chunks
    assert told[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in told).split()
    assert finish.choices[0].finish_reason == "length"
    assert last.choices == []
    assert last.usage.completion_tokens == 6


def test_a_wrong_model_name_is_served_under_its_own_alias(real_llama_server, client):
    answer = client.chat.completions.create(
        model="nobody", messages=HELLO, max_tokens=1
    )
    assert answer.model == real_llama_server.model


def test_a_prompt_beyond_the_context_is_refused_with_both_numbers(
    real_llama_server, client
):
    long = [{"role": "user", "content": "x" * 4 * real_llama_server.context}]
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=real_llama_server.model, messages=long)
    assert refused.value.body["type"] == "exceed_context_size_error"
    assert refused.value.body["n_ctx"] == real_llama_server.context
