"""A model that leaves its server: what runs may end, what comes waits, how long.

The gateways say in `GatewayPresence` what they are answering; an activation listens.
"""

from __future__ import annotations

import contextlib
import json
from datetime import timedelta

import pytest
from django.utils import timezone

from history_app.choices import RequestStatus
from models_app.choices import OperationStatus
from models_app.models import Operation
from models_app.services import claims, operations
from runtime_app.gateway import presence
from runtime_app.models import Activation, Drain, GatewayPresence
from runtime_app.services import activate, activating, drain, former_activation
from runtime_app.services.runtimes import get_runtime
from tests.factories import NodeFactory, OperationFactory
from tests.fakes.waiting import wait_until
from tests.threads import in_thread, join

pytestmark = pytest.mark.slow
OLD, NEW = "gemma3:4b", "phi3:mini"
CHAT = "/v1/chat/completions"
PROMPT = [{"role": "user", "content": "Hello"}]
BRIEF = {"messages": PROMPT, "max_tokens": 1}


@pytest.fixture
def house(gateway, practice_ollama):
    """The gateway with an Ollama whose active model is the old one."""
    gateway.add("ollama", practice_ollama.url, OLD, NEW, active=OLD)
    practice_ollama.state.tokens_per_second = 20
    return gateway


@contextlib.contextmanager
def streaming(house, model=OLD):
    """An answer that has begun; its text comes when the test reads on."""
    body = {"model": f"ollama/{model}", "messages": PROMPT, "stream": True}
    with house.http().stream("POST", CHAT, json=body) as answer:
        lines = answer.iter_lines()
        next(lines)
        wait_until(lambda: said(model) == 1)
        yield lines


def said(model: str) -> int:
    return drain.in_flight("ollama", model)


def requested(actor, **how) -> Operation:
    return activate.request_activation("ollama", NEW, actor=actor, **how)


@pytest.fixture
def at_work():
    """at_work(operation): carries it out beside the test, as a worker would."""
    threads = []

    def carry_out(operation: Operation):
        work = (operation.pk, activating.perform_activation)
        threads.append(in_thread(claims.carry_out, *work))
        return threads[-1]

    yield carry_out
    for thread in threads:
        join(thread)


def in_memory(practice_ollama) -> set[str]:
    return {entry.model.name for entry in practice_ollama.state.loaded()}


def last_event(lines) -> dict | str:
    [*_, last] = [line for line in lines if line]
    words = last.removeprefix("data: ")
    return words if words == "[DONE]" else json.loads(words)


def log_of(operation: Operation) -> str:
    return "\n".join(line.line for line in operation.lines.all())


# Activating now


def test_running_answers_end_before_the_former_model_is_unloaded(
    house, actor, at_work, practice_ollama
):
    practice_ollama.state.answer_tokens = 60
    with streaming(house) as lines:
        operation = requested(actor)
        worker = at_work(operation)
        wait_until(lambda: Drain.objects.exists())
        new = house.http().post(CHAT, json={"model": "auto", **BRIEF})
        assert new.headers["x-venom-model"] == NEW
        assert "x-venom-reason" not in new.headers, "the new model serves nobody late"
        assert OLD in in_memory(practice_ollama)
        assert worker.is_alive()
        assert last_event(lines) == "[DONE]"
    join(worker)
    assert operations.get_operation(operation.pk).status == OperationStatus.COMPLETED
    assert in_memory(practice_ollama) == {NEW}
    assert not Drain.objects.exists()
    assert f"{OLD} has left the memory" in log_of(operation)


def test_what_is_asked_of_a_leaving_model_waits_until_it_has_left(
    house, actor, at_work, practice_ollama
):
    practice_ollama.state.answer_tokens = 40
    with streaming(house) as lines:
        at_work(requested(actor))
        wait_until(lambda: Drain.objects.exists())
        number = drain.policy_number()
        wait_until(lambda: GatewayPresence.objects.get().version >= number)
        held = house.http().post(CHAT, json={"model": OLD, **BRIEF})
        assert last_event(lines) == "[DONE]"
    assert held.headers["x-venom-reason"] == "RUNTIME_STARTING"
    row = house.record(request_id=held.headers["x-venom-request-id"])
    assert row.queue_seconds > 0.2


def test_after_its_time_a_stream_ends_with_an_event_that_says_why(
    house, actor, at_work, practice_ollama, monkeypatch
):
    monkeypatch.setattr(former_activation, "DRAIN_SECONDS", 0.3)
    practice_ollama.state.answer_tokens = 100_000
    with streaming(house) as lines:
        operation = requested(actor)
        join(at_work(operation))
        error = last_event(lines)["error"]
    assert error["code"] == "RUNTIME_SWITCHED"
    assert OLD in error["message"]
    row = house.record(llm_model=OLD)
    assert (row.status, row.partial) == (RequestStatus.FAILED, True)
    assert (row.error_code, row.error_retryable) == ("RUNTIME_SWITCHED", True)
    ended = operations.get_operation(operation.pk)
    assert ended.status == OperationStatus.COMPLETED, ended.error
    assert in_memory(practice_ollama) == {NEW}
    assert not Drain.objects.exists()


def test_a_plain_request_that_runs_too_long_is_503_and_may_be_sent_again(
    house, actor, at_work, practice_ollama, monkeypatch
):
    monkeypatch.setattr(former_activation, "DRAIN_SECONDS", 0.3)
    practice_ollama.state.faults.plan(CHAT, "stall_before_first_byte")
    answers = []
    body = {"model": OLD, "messages": PROMPT}
    asked = in_thread(
        lambda: answers.append(house.http().post(CHAT, json=body, timeout=60))
    )
    wait_until(lambda: said(OLD) == 1)
    join(at_work(requested(actor)))
    join(asked)
    [answer] = answers
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "RUNTIME_SWITCHED"
    assert int(answer.headers["retry-after"]) > 0
    assert "x-should-retry" not in answer.headers
    assert house.record(llm_model=OLD).partial is False


def test_a_worker_that_dies_in_a_drain_is_followed_by_one_that_goes_on_with_it(
    house, actor, at_work, practice_ollama, monkeypatch
):
    practice_ollama.state.answer_tokens = 60
    operation = requested(actor)
    work = claims.claim(operation.pk)

    def dies(*_):
        raise OSError

    with streaming(house) as lines:
        with monkeypatch.context() as dying:
            dying.setattr(former_activation, "await_drained", dies)
            with pytest.raises(OSError):
                activating.perform_activation(work)
        [begun] = Drain.objects.all()
        claims.give_back(operation.pk, work.token, "interrupted")
        drain.forget_dead()
        worker = at_work(operation)
        wait_until(lambda: operations.get_operation(operation.pk).phase == "releasing")
        [present] = Drain.objects.all()
        assert (present.pk, present.ends_at) == (begun.pk, begun.ends_at)
        assert last_event(lines) == "[DONE]"
    join(worker)
    assert in_memory(practice_ollama) == {NEW}
    assert not Drain.objects.exists()


def test_a_cancel_in_the_drain_comes_too_late_and_ends_the_drain(
    house, actor, at_work, practice_ollama
):
    practice_ollama.state.answer_tokens = 100_000
    with streaming(house):
        operation = requested(actor)
        worker = at_work(operation)
        wait_until(lambda: Drain.objects.exists())
        operations.cancel_operation(operations.get_operation(operation.pk), actor=actor)
        join(worker, seconds=20)  # its time would be 30
    assert "Too late to cancel" in log_of(operation)
    assert not Drain.objects.exists()
    assert Activation.objects.active().get().served_name == NEW


def test_a_gateway_that_hangs_holds_the_activation_no_longer_than_its_time(
    house, actor, at_work, practice_ollama, monkeypatch
):
    monkeypatch.setattr(former_activation, "DRAIN_SECONDS", 0.1)
    monkeypatch.setattr(drain, "ENDING_SECONDS", 0.3)
    there = Activation.objects.get().node
    ago = timezone.now() + timedelta(seconds=5)
    GatewayPresence.objects.create(node=there, process="hangs", version=0, seen_at=ago)
    operation = requested(actor)
    join(at_work(operation))
    assert operations.get_operation(operation.pk).status == OperationStatus.COMPLETED
    assert f"did not say that {OLD} is free" in log_of(operation)


# Activating when idle


def test_idle_waits_for_running_answers_and_then_switches(
    house, actor, at_work, practice_ollama
):
    practice_ollama.state.answer_tokens = 60
    with streaming(house) as lines:
        operation = requested(actor, when="idle")
        worker = at_work(operation)
        wait_until(
            lambda: "still run on" in operations.get_operation(operation.pk).message
        )
        waiting = operations.get_operation(operation.pk)
        assert (waiting.status, waiting.phase) == ("in_progress", "draining")
        assert waiting.message == f"Requests that still run on {OLD}: 1."
        assert "draining" in [step.name for step in waiting.steps]
        assert in_memory(practice_ollama) == {OLD}, "nothing has begun"
        assert last_event(lines) == "[DONE]"
    join(worker)
    assert Activation.objects.active().get().served_name == NEW


def test_waiting_for_an_idle_moment_can_be_cancelled_and_changes_nothing(
    house, actor, at_work, practice_ollama
):
    practice_ollama.state.answer_tokens = 100_000
    with streaming(house) as lines:
        operation = requested(actor, when="idle")
        worker = at_work(operation)
        wait_until(lambda: operations.get_operation(operation.pk).phase == "draining")
        operations.cancel_operation(operations.get_operation(operation.pk), actor=actor)
        join(worker)
        assert next(lines) is not None
    ended = operations.get_operation(operation.pk)
    assert ended.status == OperationStatus.CANCELLED
    assert Activation.objects.active().get().served_name == OLD
    assert in_memory(practice_ollama) == {OLD}


def test_the_step_of_waiting_is_not_listed_where_nobody_asked_for_it(house, actor):
    operation = requested(actor)
    claims.carry_out(operation.pk, activating.perform_activation)
    steps = operations.get_operation(operation.pk).steps
    assert "draining" not in [step.name for step in steps]


# The sign of life


def test_a_gateway_says_what_it_answers_and_takes_its_row_along(
    start_gateway, practice_ollama
):
    gateway = start_gateway()
    gateway.add("ollama", practice_ollama.url, OLD, active=OLD)
    practice_ollama.state.tokens_per_second = 20
    practice_ollama.state.answer_tokens = 100_000
    with streaming(gateway):
        row = GatewayPresence.objects.get()
        assert row.in_flight == {f"ollama|{OLD}": 1}
        assert row.version == drain.policy_number()
        assert drain.in_flight("ollama", "") == 1
        assert drain.in_flight("olla", "") == drain.in_flight("ollama", "gemma3") == 0
    wait_until(lambda: said(OLD) == 0)
    gateway.server.stop()
    assert not GatewayPresence.objects.exists()


def test_an_idle_gateway_writes_only_now_and_then(gateway, monkeypatch):
    monkeypatch.setattr(presence, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(presence, "QUIET_SECONDS", 1.0)
    wait_until(GatewayPresence.objects.exists)
    seen = set()
    ends = timezone.now() + timedelta(seconds=2.5)
    while timezone.now() < ends:
        seen.add(GatewayPresence.objects.get().seen_at)
    assert 2 <= len(seen) <= 4


@pytest.fixture
def dead_gateway(db):
    """The row of one that was killed while it answered."""
    long_ago = timezone.now() - drain.SILENCE - timedelta(seconds=1)
    return GatewayPresence.objects.create(
        node=NodeFactory(),
        process="gone",
        in_flight={f"ollama|{OLD}": 3},
        seen_at=long_ago,
    )


def test_nobody_waits_for_a_gateway_that_was_killed(dead_gateway):
    assert said(OLD) == 0
    GatewayPresence.objects.update(seen_at=timezone.now())
    assert said(OLD) == 3


def test_rows_of_killed_gateways_go_after_a_minute(dead_gateway):
    drain.forget_dead()
    assert GatewayPresence.objects.exists()
    GatewayPresence.objects.update(seen_at=timezone.now() - timedelta(minutes=2))
    drain.forget_dead()
    assert not GatewayPresence.objects.exists()


# Drains and their operations


@pytest.mark.django_db
def test_a_drain_does_not_outlive_its_operation(ollama_row):
    number = drain.policy_number()
    kept, left = OperationFactory(running=True), OperationFactory(completed=True)
    ends = timezone.now() + timedelta(seconds=30)
    for operation, model in ((kept, OLD), (left, NEW)):
        Drain.objects.create(
            runtime=ollama_row,
            served_name=model,
            ends_at=ends,
            operation_id=operation.pk,
        )
    drain.forget_dead()
    assert Drain.objects.get().served_name == OLD
    assert drain.policy_number() == number + 1


@pytest.mark.django_db(transaction=True)
def test_a_drain_that_another_operation_left_behind_gives_its_place(ollama_row):
    over = timezone.now() - timedelta(seconds=30)
    Drain.objects.create(runtime=ollama_row, served_name=OLD, ends_at=over)
    operation = OperationFactory()
    work = claims.claim(operation.pk)
    runtime = get_runtime("ollama")
    begun = drain.begin_drain(runtime, OLD, seconds=30, work=work)
    again = drain.begin_drain(runtime, OLD, seconds=30, work=work)
    assert begun == again == Drain.objects.get()
    assert begun.ends_at > timezone.now()
