"""A server fails before its first byte: another one answers, and everything says so."""

from __future__ import annotations

import json
import time

import openai
import pytest

from history_app.choices import RequestStatus
from tests.fakes.raw import RawServer, head
from tests.fakes.waiting import wait_until

MODEL = "gemma3:4b"
OTHER = "practice-7b"
PROMPT = [{"role": "user", "content": "Opowiedz mi o żółwiu"}]
CHAT = "/v1/chat/completions"
PLAIN = {"model": MODEL, "messages": PROMPT}


def add_both(gateway, ollama, lab):
    gateway.add("ollama", ollama.url, MODEL, active=MODEL)
    gateway.add("lab", lab.url, OTHER)
    ollama.state.answer_tokens = lab.state.answer_tokens = 20


@pytest.fixture
def both(gateway, practice_ollama, practice_openai):
    """An active Ollama and another server that can answer instead."""
    add_both(gateway, practice_ollama, practice_openai)
    return practice_ollama, practice_openai


@pytest.fixture
def hasty(start_gateway, deadlines, practice_ollama, practice_openai):
    deadlines(VENOM_FIRST_BYTE_SECONDS_LOCAL=0.4, VENOM_STREAM_IDLE_SECONDS=0.3)
    gateway = start_gateway()
    add_both(gateway, practice_ollama, practice_openai)
    return gateway


def assert_the_other_answered(gateway, answer, reason, error_code, status):
    assert answer.status_code == 200, answer.text
    headers = answer.headers
    assert (headers["x-venom-provider"], headers["x-venom-model"]) == ("lab", OTHER)
    assert (headers["x-venom-attempts"], headers["x-venom-reason"]) == ("2", reason)
    row = gateway.record()
    assert (row.status, row.fallback, row.attempts) == ("COMPLETED", True, 2)
    assert (row.llm_provider, row.llm_model, row.runtime) == ("lab", OTHER, "lab")
    assert (row.reason_code, row.error_code, row.partial) == (reason, "", False)
    first, second = row.trace["hops"]
    assert (first["runtime"], first["status"]) == ("ollama", status)
    assert first["error_code"] == error_code
    assert first["reason_code"] == "PRIMARY_PROVIDER_SELECTED"
    assert (second["runtime"], second["status"]) == ("lab", 200)
    assert (second["reason_code"], second["error_code"]) == (reason, "")
    actions = [step["action"] for step in row.trace["steps"]]
    assert actions[:5] == ["received", "routed", "asked", "failed_over", "asked"]
    assert actions[-1] == "finished"
    verdicts = [(c["runtime"], c["verdict"]) for c in row.trace["candidates"]]
    assert verdicts == [("ollama", "chosen"), ("lab", "next")]


@pytest.mark.parametrize(
    ("fault", "reason", "error_code", "status"),
    [
        ("status:401", "FALLBACK_AUTH_ERROR", "upstream_auth", 401),
        ("status:403", "FALLBACK_AUTH_ERROR", "upstream_auth", 403),
        ("status:404", "FALLBACK_MODEL_NOT_FOUND", "model_not_found", 404),
        ("status:408", "FALLBACK_TIMEOUT", "upstream_timeout", 408),
        ("status:429", "FALLBACK_RATE_LIMIT", "upstream_overloaded", 429),
        ("status:503", "FALLBACK_RATE_LIMIT", "upstream_overloaded", 503),
        ("status:500", "FALLBACK_DEGRADED", "upstream_error", 500),
        ("status:502", "FALLBACK_DEGRADED", "upstream_error", 502),
        ("garbage", "FALLBACK_DEGRADED", "upstream_malformed", 200),
        ("html:200", "FALLBACK_DEGRADED", "upstream_malformed", 200),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_each_failure_of_the_first_choice_leads_to_the_next_with_its_reason(
    gateway, both, fault, reason, error_code, status, stream
):
    ollama, _lab = both
    ollama.state.faults.plan(CHAT, fault)
    answer = gateway.http().post(CHAT, json={**PLAIN, "stream": stream})
    assert_the_other_answered(gateway, answer, reason, error_code, status)


@pytest.mark.parametrize(
    ("pieces", "error_code"),
    [
        ([b"data: <html>\n\n", b"data: [DONE]\n\n"], "upstream_malformed"),
        ([b'data: {"id": 1,\n\n'], "upstream_malformed"),
        ([b"x" * (1 << 20)] * 9, "upstream_malformed"),
        ([b'data: {"choices": []}'], "upstream_closed"),
        ([], "upstream_closed"),
        ([b'data: {"error": {"message": "dead"}}\n\n'], "upstream_error"),
        ([b'data: {"choices": [{"finish_reason": "abort"}]}\n\n'], "upstream_aborted"),
    ],
    ids=["html", "json", "endless", "half", "empty", "error", "abort"],
)
def test_a_stream_that_is_none_leads_to_the_next(
    gateway, practice_openai, pieces, error_code
):
    with RawServer([head("text/event-stream"), *pieces]) as server:
        gateway.add("bare", server.url, "m", active="m")
        gateway.add("lab", practice_openai.url, OTHER)
        body = {"model": "auto", "messages": PROMPT, "stream": True}
        answer = gateway.http().post(CHAT, json=body)
        row = gateway.record()
    assert answer.headers["x-venom-provider"] == "lab"
    assert answer.headers["x-venom-reason"] == "FALLBACK_DEGRADED"
    assert answer.text.rstrip().endswith("[DONE]")
    assert row.trace["hops"][0]["error_code"] == error_code


def test_half_a_plain_answer_has_not_begun_for_the_client(gateway, both):
    both[0].state.faults.plan(CHAT, "cut_after_tokens:3")
    answer = gateway.http().post(CHAT, json=PLAIN)
    assert_the_other_answered(gateway, answer, "FALLBACK_DEGRADED", "upstream_cut", 200)


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_is_gone_leads_to_the_next(gateway, both, stream):
    both[0].stop()
    answer = gateway.http().post(CHAT, json={**PLAIN, "stream": stream})
    assert_the_other_answered(
        gateway, answer, "FALLBACK_OFFLINE", "upstream_offline", None
    )


@pytest.mark.parametrize(
    "address",
    ["http://nowhere.invalid:8000", "https://127.0.0.1:{port}"],
    ids=["a name that no DNS knows", "TLS where none is spoken"],
)
def test_an_address_that_leads_nowhere_is_offline(
    gateway, practice_ollama, practice_openai, address
):
    url = address.format(port=practice_ollama.url.rpartition(":")[2])
    gateway.add("ollama", url, MODEL, active=MODEL)
    gateway.add("lab", practice_openai.url, OTHER)
    answer = gateway.http().post(CHAT, json=PLAIN)
    assert_the_other_answered(
        gateway, answer, "FALLBACK_OFFLINE", "upstream_offline", None
    )


@pytest.mark.parametrize("stream", [False, True])
def test_silence_before_the_first_byte_leads_to_the_next(
    hasty, practice_ollama, stream
):
    practice_ollama.state.faults.plan(CHAT, "stall_before_first_byte")
    began = time.monotonic()
    answer = hasty.http().post(CHAT, json={**PLAIN, "stream": stream})
    assert time.monotonic() - began < 1.5
    assert_the_other_answered(
        hasty, answer, "FALLBACK_TIMEOUT", "upstream_timeout", None
    )
    wait_until(lambda: practice_ollama.state.in_flight == 0, seconds=1)


def test_the_deadlines_hold_for_every_server_asked(
    hasty, practice_ollama, practice_openai
):
    for server in (practice_ollama, practice_openai):
        server.state.faults.plan(CHAT, "stall_before_first_byte")
    answer = hasty.http().post(CHAT, json=PLAIN)
    assert answer.status_code == 504
    assert answer.headers["x-venom-attempts"] == "2"
    assert [hop["error_code"] for hop in hasty.record().trace["hops"]] == [
        "upstream_timeout",
        "upstream_timeout",
    ]


def test_after_the_first_byte_nobody_else_is_asked(gateway, both):
    ollama, lab = both
    ollama.state.faults.plan(CHAT, "cut_after_tokens:3")
    answer = gateway.http().post(CHAT, json={**PLAIN, "stream": True})
    assert "[DONE]" not in answer.text
    assert '"upstream_cut"' in answer.text
    assert not lab.state.requests[CHAT]
    row = gateway.record()
    assert (row.status, row.partial, row.fallback) == ("FAILED", True, False)
    assert row.attempts == 1


def test_a_forced_server_never_falls_back(gateway, both):
    ollama, lab = both
    ollama.state.faults.plan(CHAT, "status:500")
    answer = gateway.http().post(CHAT, json={**PLAIN, "model": f"ollama/{MODEL}"})
    assert answer.status_code == 502
    assert "x-venom-reason" not in answer.headers
    assert not lab.state.requests[CHAT]


@pytest.mark.parametrize("path", ["/v1/embeddings"])
def test_vectors_never_come_from_another_model(gateway, both, path):
    ollama, lab = both
    ollama.state.faults.plan(path, "status:500")
    answer = gateway.http().post(path, json={"model": MODEL, "input": "a"})
    assert answer.status_code == 502
    assert not lab.state.requests[path]


def test_vectors_come_from_another_server_with_the_same_model(gateway, both):
    ollama, lab = both
    lab.state.add_model(MODEL)
    gateway.add("shed", lab.url, MODEL, OTHER)
    ollama.state.faults.plan("/v1/embeddings", "status:500")
    answer = gateway.http().post("/v1/embeddings", json={"model": MODEL, "input": "a"})
    assert answer.headers["x-venom-provider"] == "shed"
    assert answer.headers["x-venom-model"] == MODEL


def test_the_clients_own_mistake_is_asked_of_nobody_else(gateway, both):
    _ollama, lab = both
    answer = gateway.http().post(CHAT, json={**PLAIN, "max_tokens": "many"})
    assert answer.status_code == 400
    assert not lab.state.requests[CHAT]


def test_when_all_fail_the_client_hears_of_the_first_and_who_else_was_asked(
    gateway, both
):
    ollama, lab = both
    ollama.state.faults.plan(CHAT, "status:429")
    lab.stop()
    with pytest.raises(openai.RateLimitError) as caught:
        gateway.openai().chat.completions.create(**PLAIN)
    message = caught.value.body["message"]
    assert ollama.url in message
    assert "lab (upstream_offline)" in message
    headers = caught.value.response.headers
    assert headers["x-venom-provider"] == "ollama"
    assert headers["x-venom-attempts"] == "2"
    assert headers["x-venom-reason"] == "NO_PROVIDER_AVAILABLE"
    row = gateway.record()
    assert (row.status, row.llm_provider, row.fallback) == ("FAILED", "ollama", False)
    assert (row.reason_code, row.error_class) == ("NO_PROVIDER_AVAILABLE", "RATE_LIMIT")
    assert len(row.trace["hops"]) == 2


def test_a_client_that_leaves_is_not_followed_by_another_server(gateway, both):
    import httpx

    ollama, lab = both
    ollama.state.faults.plan(CHAT, "stall_before_first_byte")
    with gateway.http() as client, pytest.raises(httpx.ReadTimeout):
        client.post(CHAT, json=PLAIN, timeout=0.2)
    assert gateway.record().status == RequestStatus.CANCELLED
    assert not lab.state.requests[CHAT]


def test_the_body_that_goes_on_names_the_other_servers_model(gateway, both):
    ollama, lab = both
    ollama.state.faults.plan(CHAT, "status:500")
    body = json.dumps({**PLAIN, "model": "auto", "x_mine": [1.5, None]})
    gateway.http().post(CHAT, content=body).raise_for_status()
    assert ollama.state.last_bodies[CHAT]["model"] == MODEL
    seen = lab.state.last_bodies[CHAT]
    assert seen == {"model": OTHER, "messages": PROMPT, "x_mine": [1.5, None]}


def test_the_official_client_streams_from_the_second_server(gateway, both):
    both[0].state.faults.plan(CHAT, "status:503")
    stream = gateway.openai().chat.completions.create(**PLAIN, stream=True)
    chunks = list(stream)
    assert chunks[-1].choices[0].finish_reason
    assert {chunk.model for chunk in chunks} == {OTHER}
