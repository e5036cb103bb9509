"""Serve a request: from an official client through Venom to a server, and back into
what the operator reads."""

import openai
import pytest

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from runtime_app.governance import keys
from tests.fakes.waiting import wait_until
from tests.serving import DaphneProcess, Gateway, add_server
from venom_site.lib.access import SYSTEM, Scope

CHAT = "/v1/chat/completions"
PROMPT = [{"role": "user", "content": "Zażółć gęślą jaźń, po polsku i po niemiecku"}]


def test_a_program_asks_and_the_operator_reads_who_answered(gateway, practice_ollama):
    gateway.add("ollama", practice_ollama.url, "gemma3:4b", active="gemma3:4b")
    stream = gateway.openai().chat.completions.create(
        model="auto", messages=PROMPT, stream=True
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text
    gateway.record()
    reader = gateway.http(gateway.new_key("operator", Scope.GOVERN))
    listed = reader.get("/api/v1/history/requests").json()["requests"]
    row = listed[0]
    assert row["status"] == "COMPLETED"
    assert row["llm_provider"] == "ollama"
    assert row["llm_model"] == "gemma3:4b"
    assert row["llm_endpoint"] == f"{practice_ollama.url}/v1"
    assert row["requested_model"] == "auto"
    assert row["prompt"] == PROMPT[0]["content"]
    assert row["ttft_ms"] > 0
    assert row["completion_tokens"] > 0
    detail = reader.get(f"/api/v1/history/requests/{row['request_id']}").json()
    assert detail["hops"][0]["endpoint"] == row["llm_endpoint"]


@pytest.mark.real
@pytest.mark.slow
def test_a_real_llama_server_answers_through_venom(gateway, real_llama_server):
    model = real_llama_server.model
    gateway.add("llama", real_llama_server.url, model, active=model)
    client = gateway.openai()
    answer = client.chat.completions.create(
        model=model, messages=PROMPT, max_tokens=8, temperature=0, seed=1
    )
    stream = client.chat.completions.create(
        model="auto", messages=PROMPT, max_tokens=8, temperature=0, seed=1, stream=True
    )
    chunks = list(stream)
    assert all(chunk.choices for chunk in chunks)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == answer.choices[0].message.content
    row = gateway.record(stream=True)
    assert (row.status, row.llm_model) == (RequestStatus.COMPLETED, model)
    assert (row.output_tokens, row.usage_estimated) == (8, False)
    assert row.ttft_seconds is not None
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "słowo " * 5000}]
        )
    assert caught.value.body["type"] == "exceed_context_size_error"


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_daphne_serves_the_gateway_too_and_ends_cleanly(practice_ollama):
    """There is no lifespan: the first request starts the gateway."""
    add_server("ollama", practice_ollama.url, "gemma3:4b", active="gemma3:4b")
    _row, key = keys.create_key("bot", [Scope.INFERENCE], actor=SYSTEM)
    with DaphneProcess() as daphne:
        gateway = Gateway(daphne, key)
        client = gateway.openai()
        answer = client.chat.completions.create(model="auto", messages=PROMPT)
        stream = client.chat.completions.create(
            model="auto", messages=PROMPT, stream=True
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        assert text == answer.choices[0].message.content
        practice_ollama.state.faults.plan(CHAT, "stall_mid_stream:3")
        with (
            gateway.http() as leaver,
            leaver.stream("POST", CHAT, json={"messages": PROMPT, "stream": True}),
        ):
            wait_until(lambda: practice_ollama.state.in_flight == 1)
        wait_until(lambda: practice_ollama.state.cancelled == 1, seconds=1)
        gateway.close()
    ends = RequestRecord.objects.order_by("created_at").values_list("status", flat=True)
    assert list(ends) == ["COMPLETED", "COMPLETED", "CANCELLED"]
