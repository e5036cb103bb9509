"""Who else may answer, who is passed over and why: `choose_route` as tables. Pure."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from runtime_app.gateway.entries import (
    ActiveEntry,
    DrainEntry,
    RuntimeEntry,
    Snapshot,
)
from runtime_app.gateway.routing import Asked, Decision, choose_route
from runtime_app.governance.fallback import FallbackPolicy

EMBEDDINGS = "/v1/embeddings"
CHAT = "/v1/chat/completions"


def server(name: str, *served: str, **fields) -> RuntimeEntry:
    kind = name if name in {"ollama", "vllm"} else "openai_compatible"
    return RuntimeEntry(
        name=name,
        display_name=name.title(),
        provider=name,
        kind=kind,
        endpoint=f"http://127.0.0.1:9/{name}/v1",
        node="n",
        status=fields.pop("status", "online"),
        served=served,
        **fields,
    )


OLLAMA = server("ollama", "gemma3:4b", "phi3:mini")
VLLM = server("vllm", "gemma3:4b", "mistral-7b", last_model="mistral-7b")
LAB = server("lab", "practice-7b")
WIDE = server("wide", "a-model", "another")


def known(*runtimes: RuntimeEntry, active: str = "gemma3:4b", **fields) -> Snapshot:
    """The first one is active."""
    entry = ActiveEntry(runtime=runtimes[0], model_name=active, served_name=active)
    return Snapshot(number=1, profile="full", runtimes=runtimes, active=entry, **fields)


def decide(model: str | None, snapshot: Snapshot, **asked) -> Decision:
    return choose_route(Asked(model=model, **asked), snapshot, snapshot.policy)


def order(decision: Decision) -> list[str]:
    return [str(route) for route in decision.routes]


def verdicts(decision: Decision) -> dict[str, tuple[str, str]]:
    return {c["runtime"]: (c["verdict"], c["reason"]) for c in decision.candidates}


def draining(runtime: str, model: str) -> tuple[DrainEntry, ...]:
    ends = datetime(2026, 1, 1, tzinfo=UTC)
    return (DrainEntry(runtime=runtime, served_name=model, ends_at=ends),)


@pytest.mark.parametrize(
    ("model", "path", "expected"),
    [
        (None, CHAT, ["ollama gemma3:4b", "vllm gemma3:4b", "lab practice-7b"]),
        ("auto", CHAT, ["ollama gemma3:4b", "vllm gemma3:4b", "lab practice-7b"]),
        ("phi3:mini", CHAT, ["ollama phi3:mini", "vllm mistral-7b", "lab practice-7b"]),
        ("ollama/gemma3:4b", CHAT, ["ollama gemma3:4b"]),
        ("lab/practice-7b", CHAT, ["lab practice-7b"]),
        ("auto", EMBEDDINGS, ["ollama gemma3:4b", "vllm gemma3:4b"]),
        ("phi3:mini", EMBEDDINGS, ["ollama phi3:mini"]),
    ],
)
def test_the_others_stand_behind_the_first_choice_in_order(model, path, expected):
    decision = decide(model, known(OLLAMA, VLLM, LAB), path=path)
    assert order(decision) == expected
    assert [route.is_fallback for route in decision.routes] == [
        False,
        *[True] * (len(expected) - 1),
    ]
    assert decision.routes[0].reason_code == "PRIMARY_PROVIDER_SELECTED"


def test_a_server_with_several_models_and_no_last_one_is_passed_over():
    decision = decide("auto", known(OLLAMA, WIDE))
    assert order(decision) == ["ollama gemma3:4b"]
    assert verdicts(decision)["wide"] == ("passed_over", "FALLBACK_MODEL_NOT_FOUND")


def test_the_active_model_is_what_the_active_server_answers_with_instead():
    snapshot = known(
        WIDE,
        OLLAMA,
        active="another",
        policy=FallbackPolicy(on_inactive="fallback"),
    )
    assert order(decide("phi3:mini", snapshot)) == ["wide another"]


@pytest.mark.parametrize("status", ["offline", "stopping", "conflict"])
def test_a_server_that_is_away_is_passed_over_when_there_is_another(status):
    away = replace(OLLAMA, status=status)
    decision = decide("auto", known(away, VLLM))
    assert order(decision) == ["vllm gemma3:4b"]
    assert decision.routes[0].reason_code == "FALLBACK_OFFLINE"
    assert decision.routes[0].is_fallback
    assert verdicts(decision) == {
        "ollama": ("passed_over", "FALLBACK_OFFLINE"),
        "vllm": ("chosen", "FALLBACK_OFFLINE"),
    }


@pytest.mark.parametrize(
    ("model", "others"),
    [
        ("auto", []),
        ("auto", [replace(LAB, status="offline")]),
        ("auto", [WIDE]),
        ("ollama/gemma3:4b", [VLLM]),
    ],
)
def test_a_server_that_is_away_is_tried_when_there_is_no_other(model, others):
    away = replace(OLLAMA, status="offline")
    decision = decide(model, known(away, *others))
    assert order(decision) == ["ollama gemma3:4b"]
    assert decision.routes[0].reason_code == "PRIMARY_PROVIDER_SELECTED"


@pytest.mark.parametrize("status", ["online", "degraded", "unknown"])
def test_a_server_that_may_answer_is_asked(status):
    decision = decide("auto", known(replace(OLLAMA, status=status), VLLM))
    assert order(decision)[0] == "ollama gemma3:4b"


def test_a_policy_without_the_switch_tries_the_server_that_is_away():
    policy = FallbackPolicy(switches=frozenset({"TIMEOUT"}))
    away = replace(OLLAMA, status="offline")
    decision = decide("auto", known(away, VLLM, policy=policy))
    assert order(decision) == ["ollama gemma3:4b", "vllm gemma3:4b"]


@pytest.mark.parametrize(
    ("first", "fields"),
    [
        (replace(OLLAMA, status="starting"), {}),
        (OLLAMA, {"drains": draining("ollama", "gemma3:4b")}),
        (OLLAMA, {"drains": draining("ollama", "")}),
    ],
)
@pytest.mark.parametrize("model", ["auto", "ollama/gemma3:4b"])
def test_a_server_that_starts_or_is_drained_is_waited_for(model, first, fields):
    decision = decide(model, known(first, LAB, **fields))
    assert str(decision.awaited) == "ollama gemma3:4b"
    assert not decision.must_activate
    assert decision.refusal.code == "runtime_starting"
    assert decision.refusal.retry_after
    later = [route.reason_code for route in decision.routes]
    assert later == ([] if "/" in model else ["RUNTIME_STARTING"])


def test_a_drain_of_another_model_or_server_holds_nobody_up():
    drains = draining("ollama", "phi3:mini") + draining("lab", "")
    decision = decide("auto", known(OLLAMA, LAB, drains=drains))
    assert decision.awaited is None
    assert verdicts(decision)["lab"] == ("passed_over", "RUNTIME_STARTING")


def test_who_was_waited_for_says_so_when_it_answers():
    ready = decide("auto", known(OLLAMA, LAB)).after_waiting()
    reasons = [route.reason_code for route in ready.routes]
    assert reasons[0] == "RUNTIME_STARTING"
    assert not ready.routes[0].is_fallback


def test_a_key_that_cannot_be_decrypted_is_no_reason_to_fail_when_another_can():
    locked = replace(OLLAMA, key_is_unreadable=True)
    decision = decide("auto", known(locked, LAB))
    assert order(decision) == ["lab practice-7b"]
    assert decision.routes[0].reason_code == "FALLBACK_AUTH_ERROR"
    alone = decide("auto", known(locked))
    assert (alone.routes, alone.refusal.code) == ((), "upstream_auth")


@pytest.mark.parametrize(
    ("on_inactive", "may_operate", "outcome"),
    [
        ("refuse", True, "model_not_active"),
        ("fallback", False, ["ollama gemma3:4b"]),
        ("activate", False, "scope_missing"),
        ("activate", True, "lab practice-7b"),
    ],
)
def test_a_model_that_is_not_active_goes_as_the_setting_says(
    on_inactive, may_operate, outcome
):
    policy = FallbackPolicy(on_inactive=on_inactive)
    snapshot = known(OLLAMA, LAB, policy=policy)
    decision = decide("practice-7b", snapshot, may_operate=may_operate)
    if isinstance(outcome, list):
        assert order(decision) == outcome
        assert decision.routes[0].reason_code == "FALLBACK_MODEL_NOT_FOUND"
    elif decision.must_activate:
        assert str(decision.awaited) == outcome
        assert decision.refusal.code == "runtime_starting"
    else:
        assert (decision.routes, decision.refusal.code) == ((), outcome)
        assert "“practice-7b” on “lab”" in decision.refusal.message.replace(
            "“practice-7b” is on", "“practice-7b” on"
        )


SHELF = server("vllm", "mistral-7b", installed=frozenset({"mistral-7b", "org/qwen"}))
STOPPED = replace(SHELF, served=(), status="offline")


@pytest.mark.parametrize("vllm", [SHELF, STOPPED], ids=["serves another", "stopped"])
@pytest.mark.parametrize("name", ["org/qwen", "vllm/org/qwen"])
@pytest.mark.parametrize(
    ("on_inactive", "outcome"),
    [("refuse", "model_not_active"), ("activate", "vllm org/qwen")],
)
def test_a_model_that_lies_here_and_that_no_server_lists_is_not_active(
    vllm, name, on_inactive, outcome
):
    policy = FallbackPolicy(on_inactive=on_inactive)
    decision = decide(name, known(OLLAMA, vllm, policy=policy), may_operate=True)
    assert decision.routes == () or decision.must_activate
    told = str(decision.awaited) if decision.awaited else decision.refusal.code
    assert told == outcome
    assert "forces that server" not in decision.refusal.message


def test_who_else_answers_for_a_model_that_only_lies_here_says_why():
    policy = FallbackPolicy(on_inactive="fallback")
    snapshot = known(OLLAMA, STOPPED, policy=policy)
    decision = decide("org/qwen", snapshot)
    assert order(decision) == ["ollama gemma3:4b"]
    assert decision.routes[0].reason_code == "FALLBACK_MODEL_NOT_FOUND"
    assert decide("vllm/org/qwen", snapshot).refusal.code == "model_not_active"


def test_ollama_is_sent_what_it_holds_before_its_list_says_so():
    fresh = replace(OLLAMA, installed=frozenset({"qwen3:latest"}))
    assert order(decide("qwen3", known(fresh)))[0] == "ollama qwen3:latest"
    assert order(decide("ollama/qwen3", known(LAB, fresh, active="practice-7b"))) == [
        "ollama qwen3:latest"
    ]


def test_the_active_model_of_a_stopped_vllm_is_no_inactive_one():
    stopped = replace(STOPPED, status="online")
    snapshot = known(stopped, active="org/qwen")
    for name in ("org/qwen", "vllm/org/qwen", "auto"):
        assert order(decide(name, snapshot)) == ["vllm org/qwen"]


def test_vectors_of_an_inactive_model_come_from_nobody_else():
    policy = FallbackPolicy(on_inactive="fallback")
    decision = decide("practice-7b", known(OLLAMA, LAB, policy=policy), path=EMBEDDINGS)
    assert (decision.routes, decision.refusal.code) == ((), "model_not_active")


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("gema3:4b", "“gemma3:4b”"),
        ("GEMMA3:4B", "“gemma3:4b”"),
        ("phi3", "“phi3:mini”"),
        ("vllm/mistral", "“vllm/mistral-7b”"),
        ("lab/practise-7b", "“lab/practice-7b”"),
    ],
)
def test_an_unknown_model_is_asked_back_with_the_names_most_like_it(model, meant):
    decision = decide(model, known(OLLAMA, VLLM, LAB))
    assert f"Did you mean {meant}" in decision.refusal.message


def test_at_most_three_names_are_offered_and_none_where_none_is_like_it():
    many = server("ollama", *[f"gemma3:{n}b" for n in range(9)])
    message = decide("gemma3", known(many)).refusal.message
    assert message.count("gemma3:") == 3
    far = decide("zzzzzzzz", known(many)).refusal.message
    assert "Did you mean" not in far


@pytest.mark.parametrize(
    ("model", "reason"),
    [("openai/gpt", "POLICY_LOCAL_ONLY"), ("nope", "")],
)
def test_a_refusal_has_a_reason_code_where_there_is_one(model, reason):
    assert decide(model, known(OLLAMA)).refusal.reason_code == reason


def test_with_nothing_active_nobody_is_available():
    empty = Snapshot(number=1, profile="full", runtimes=(OLLAMA,))
    refusal = decide("auto", empty).refusal
    assert (refusal.status, refusal.reason_code) == (503, "NO_PROVIDER_AVAILABLE")


def test_a_name_among_a_thousand_is_found_without_holding_up_the_loop():
    many = server("ollama", *[f"library/model-{n}b-instruct:q4_k" for n in range(999)])
    snapshot = known(many, server("lab", "gemma3-tuned"))
    began = time.process_time()
    message = decide("gemma3-tunned", snapshot).refusal.message
    assert time.process_time() - began < 0.05
    assert "“gemma3-tuned”" in message
