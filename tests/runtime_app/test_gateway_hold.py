"""Requests that wait: for a server that starts, a drain, or a model to be activated."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from django.utils import timezone

from history_app.choices import RequestStatus
from models_app.choices import OperationStatus
from models_app.models import Operation
from models_app.services import claims
from runtime_app.choices import RuntimeStatus
from runtime_app.gateway import snapshot as snapshot_module
from runtime_app.governance.fallback import FallbackPolicy
from runtime_app.models import Activation, Drain, Runtime
from runtime_app.services import activating
from tests.fakes.waiting import wait_until
from venom_site.lib.access import Scope

MODEL = "gemma3:4b"
OTHER = "practice-7b"
PROMPT = [{"role": "user", "content": "Hello"}]
CHAT = "/v1/chat/completions"
AUTO = {"model": "auto", "messages": PROMPT}


@pytest.fixture
def patience(monkeypatch):
    """patience(hold_seconds=0.3): the policy that the next snapshot loads."""

    def set_policy(**fields) -> None:
        policy = FallbackPolicy(**fields)
        monkeypatch.setattr(snapshot_module, "present_policy", lambda: policy)

    return set_policy


@pytest.fixture
def starting(patience, gateway, practice_ollama):
    """An active Ollama that is still starting."""
    patience(hold_seconds=8)
    row = gateway.add("ollama", practice_ollama.url, MODEL, active=MODEL)
    return set_status(gateway, row, RuntimeStatus.STARTING)


def set_status(gateway, row: Runtime, status: str) -> Runtime:
    Runtime.objects.filter(pk=row.pk).update(status=status)
    gateway.reload()
    return row


@pytest.fixture
def aside():
    """aside(function) → a Future: what a client does while the test acts."""
    with ThreadPoolExecutor(4) as pool:
        yield pool.submit


def post(gateway, key=None, **fields):
    return lambda: gateway.http(key).post(CHAT, json={**AUTO, **fields})


def is_held() -> bool:
    from history_app.models import RequestRecord
    from history_app.recorder import recorder

    recorder.flush()
    return RequestRecord.objects.running().exists()


def assert_held_and_answered(gateway, answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-venom-reason"] == "RUNTIME_STARTING"
    row = gateway.record(request_id=answer.headers["x-venom-request-id"])
    assert row.reason_code == "RUNTIME_STARTING"
    assert 0 < row.queue_seconds < 8
    assert row.queue_seconds + row.overhead_seconds <= row.duration_seconds
    actions = [step["action"] for step in row.trace["steps"]]
    assert actions[:4] == ["received", "held", "routed", "asked"]
    return row


def test_a_request_waits_for_a_server_that_starts(gateway, starting, aside):
    held: Future = aside(post(gateway))
    wait_until(is_held)
    time.sleep(0.4)
    assert not held.done()
    set_status(gateway, starting, RuntimeStatus.ONLINE)
    row = assert_held_and_answered(gateway, held.result(timeout=5))
    assert (row.fallback, row.attempts) == (False, 1)
    assert row.queue_seconds > 0.4 > row.overhead_seconds


def test_a_forced_server_is_waited_for_as_well(gateway, starting, aside):
    held = aside(post(gateway, model=f"ollama/{MODEL}"))
    wait_until(is_held)
    set_status(gateway, starting, RuntimeStatus.ONLINE)
    assert_held_and_answered(gateway, held.result(timeout=5))


def test_a_server_that_does_not_become_ready_is_503_and_when_to_come_back(
    patience, gateway, practice_ollama
):
    patience(hold_seconds=0.3)
    row = gateway.add("ollama", practice_ollama.url, MODEL, active=MODEL)
    set_status(gateway, row, RuntimeStatus.STARTING)
    answer = gateway.http().post(CHAT, json=AUTO)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "runtime_starting"
    assert answer.headers["x-venom-reason"] == "RUNTIME_STARTING"
    assert answer.headers["x-venom-attempts"] == "0"
    assert int(answer.headers["retry-after"]) > 0
    assert "x-should-retry" not in answer.headers
    record = gateway.record()
    assert (record.status, record.error_code) == ("FAILED", "runtime_starting")
    assert 0.25 < record.queue_seconds < 2
    assert not practice_ollama.state.requests[CHAT]


def test_after_the_wait_another_server_answers(
    patience, gateway, practice_ollama, practice_openai
):
    patience(hold_seconds=0.3)
    row = gateway.add("ollama", practice_ollama.url, MODEL, active=MODEL)
    gateway.add("lab", practice_openai.url, OTHER)
    set_status(gateway, row, RuntimeStatus.STARTING)
    answer = gateway.http().post(CHAT, json=AUTO)
    record = assert_held_and_answered(gateway, answer)
    assert answer.headers["x-venom-provider"] == "lab"
    assert (record.fallback, record.llm_provider) == (True, "lab")


def test_a_switch_is_waited_for_and_the_new_model_answers(
    patience, gateway, practice_ollama, aside
):
    patience(hold_seconds=8)
    row = gateway.add("ollama", practice_ollama.url, MODEL, "phi3:mini", active=MODEL)
    ends = timezone.now() + timedelta(seconds=30)
    drain = Drain.objects.create(runtime=row, served_name=MODEL, ends_at=ends)
    gateway.reload()
    held = aside(post(gateway))
    wait_until(is_held)
    other = gateway.http().post(CHAT, json={**AUTO, "model": "phi3:mini"})
    assert "x-venom-reason" not in other.headers  # only the draining model waits

    Activation.objects.update(model_name="phi3:mini", served_name="phi3:mini")
    drain.delete()
    gateway.reload()
    answer = held.result(timeout=5)
    assert_held_and_answered(gateway, answer)
    assert answer.headers["x-venom-model"] == "phi3:mini"


def test_a_client_that_leaves_while_it_is_held_ends_the_wait(gateway, starting):
    with gateway.http() as client, pytest.raises(httpx.ReadTimeout):
        client.post(CHAT, json=AUTO, timeout=0.3)
    row = gateway.record()
    assert (row.status, row.attempts) == (RequestStatus.CANCELLED, 0)
    assert row.queue_seconds < 2


# VENOM_ON_INACTIVE_MODEL=activate


@pytest.fixture
def switching(patience, gateway, practice_ollama, practice_openai):
    """Ollama is active, a model of «lab» is asked for; keys may operate or not."""
    patience(on_inactive="activate", hold_seconds=8)
    gateway.add("ollama", practice_ollama.url, MODEL, active=MODEL)
    gateway.add("lab", practice_openai.url, OTHER)
    return gateway.new_key("operator", Scope.INFERENCE, Scope.OPERATE)


def carry_out(operation: Operation) -> None:
    claims.carry_out(operation.pk, activating.perform_activation)


def requested() -> Operation | None:
    return Operation.objects.filter(operation_type="activate").first()


def test_a_model_that_is_not_active_is_activated_and_then_answers(
    gateway, switching, aside
):
    held = aside(post(gateway, switching, model=OTHER))
    wait_until(requested)
    second = aside(post(gateway, switching, model=OTHER))  # joins the same switch
    operation = requested()
    assert operation.started_by == "operator"
    carry_out(operation)
    for answer in (held.result(timeout=8), second.result(timeout=8)):
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-venom-provider"] == "lab"
        assert answer.headers["x-venom-reason"] == "RUNTIME_STARTING"
    assert Operation.objects.count() == 1
    assert gateway.record().fallback is False


def test_a_key_that_may_not_operate_switches_nothing(gateway, switching):
    answer = gateway.http().post(CHAT, json={**AUTO, "model": OTHER})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "scope_missing"
    assert "operate" in answer.json()["error"]["message"]
    assert requested() is None


def test_a_second_switch_within_a_minute_is_refused(gateway, switching):
    from tests.factories import OperationFactory

    OperationFactory(
        operation_type="activate",
        status=OperationStatus.COMPLETED,
        completed_at=timezone.now(),
        runtime="ollama",
        model_name=MODEL,
    )
    answer = gateway.http(switching).post(CHAT, json={**AUTO, "model": OTHER})
    assert answer.status_code == 409
    error = answer.json()["error"]
    assert error["code"] == "model_not_active"
    assert "60 s" in error["message"]
    assert Operation.objects.count() == 1


def test_a_switch_that_fails_ends_the_wait_with_its_reason(
    gateway, switching, practice_ollama, practice_openai, aside
):
    Runtime.objects.filter(name="ollama").update(status=RuntimeStatus.OFFLINE)
    gateway.reload()
    held = aside(post(gateway, switching, model=OTHER))
    wait_until(requested)
    practice_openai.stop()
    carry_out(requested())
    answer = held.result(timeout=8)
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "activation_failed"
    assert OTHER in answer.json()["error"]["message"]
    assert gateway.record().queue_seconds < 7
