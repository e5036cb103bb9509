"""An activation whose worker dies: the next claim goes on, or brings back what was."""

from __future__ import annotations

import threading

import pytest

from models_app.models import Operation
from models_app.services import claims, operations
from models_app.services.steps import Steps
from runtime_app.gateway.names import Meant, meaning_of
from runtime_app.gateway.routing import Asked, choose_route
from runtime_app.gateway.snapshot import load
from runtime_app.models import Activation, Drain
from runtime_app.runtimes.registry import adapter_for
from runtime_app.services import activate, activating, server_work
from runtime_app.services.active import active_payload
from tests.fakes.waiting import wait_until
from tests.runtime_app.switches import activated, carry_out, fresh, living, log_of
from venom_site.lib.errors import OperationConflict

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
pytest_plugins = ("tests.fakes.fixtures", "tests.runtime_app.switch_fixtures")

GOOD, OTHER, BAD = "acme/good-7b", "acme/other-7b", "acme/bad-7b"


class Killed(BaseException):
    """The worker is gone in the middle, as by SIGKILL: nothing is written any more."""


def die_entering(monkeypatch, step: str) -> None:
    enter = Steps.enter

    def entering(self, name, **how):
        enter(self, name, **how)
        if name == step:
            raise Killed

    monkeypatch.setattr(Steps, "enter", entering)


def die(operation: Operation) -> None:
    """One claim that ends as a killed worker does; the sweep gives the row back."""
    work = claims.claim(operation.pk)
    assert work is not None
    with pytest.raises(Killed):
        activating.perform_activation(work)
    claims.interrupt(operation.pk, work.token, "The worker was lost.")


def is_consistent(vllm, model: str) -> None:
    """One server of ours with the model that the database calls active, and no more."""
    assert active_payload()["model"] == model
    assert Activation.objects.active().count() == 1
    assert [entry["name"] for entry in adapter_for(vllm).list_models()] == [model]
    parents = [p for p in living() if "vllm_by_folder" in " ".join(p.cmdline())]
    assert [p.pid for p in parents] == [fresh(vllm).pid]
    assert not Drain.objects.exists()


@pytest.fixture
def switching(vllm, hub_model, actor):
    """switching(OTHER) → the operation that leads there from the good model."""
    hub_model(GOOD)
    assert activated(vllm, GOOD, actor).status == "completed"

    def begin(model: str = OTHER, **tricks) -> Operation:
        hub_model(model, **tricks)
        return activate.request_activation("vllm", model, actor=actor)

    return begin


@pytest.mark.parametrize(
    "step",
    [
        "starting",
        *(
            pytest.param(step, marks=pytest.mark.deep)
            for step in ("draining", "stopping", "confirming", "releasing")
        ),
    ],
)
def test_the_next_worker_goes_on_where_the_last_one_died(
    vllm, switching, monkeypatch, step
):
    operation = switching()
    with monkeypatch.context() as dying:
        die_entering(dying, step)
        die(operation)

    ended = carry_out(operation)

    assert ended.status == "completed", ended.error
    is_consistent(vllm, OTHER)


def test_a_worker_that_dies_while_the_server_starts_leaves_no_second_one(
    vllm, switching, monkeypatch
):
    operation = switching(start_seconds=1)

    def gone(*_):
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(server_work, "_await_serving", gone)
        die(operation)

    assert carry_out(operation).status == "completed"
    is_consistent(vllm, OTHER)


@pytest.mark.parametrize(
    "cancel_when", [pytest.param("running", marks=pytest.mark.deep), "waiting"]
)
def test_a_cancel_of_a_switch_whose_worker_died_brings_the_former_model_back(
    vllm, switching, monkeypatch, actor, cancel_when
):
    operation = switching()
    with monkeypatch.context() as dying:
        die_entering(dying, "starting")
        work = claims.claim(operation.pk)
        with pytest.raises(Killed):
            activating.perform_activation(work)
    lost = (operation.pk, work.token, "The worker was lost.")
    if cancel_when == "waiting":
        claims.interrupt(*lost)
    operations.cancel_operation(operations.get_operation(operation.pk), actor=actor)
    if cancel_when == "running":
        claims.interrupt(*lost)
    assert not operations.get_operation(operation.pk).is_finished

    ended = carry_out(operation)

    assert ended.status == "cancelled"
    assert f"Back to {GOOD}" in log_of(ended)
    is_consistent(vllm, GOOD)


def test_a_worker_that_dies_on_the_way_back_is_followed_by_one_that_goes_on(
    vllm, switching, monkeypatch
):
    operation = switching(BAD, fail="bad_weights")

    def gone(*_):
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr("runtime_app.services.roll_back._bring_servers_back", gone)
        die(operation)

    ended = carry_out(operation)

    assert (ended.status, ended.error_code) == ("failed", "start_failed")
    assert "SafetensorError" in ended.error
    is_consistent(vllm, GOOD)


def test_who_cancels_while_it_starts_gets_the_former_model_back(vllm, switching, actor):
    operation = switching(start_seconds=30)
    worker = threading.Thread(target=carry_out, args=(operation,))
    worker.start()
    wait_until(lambda: "was started as process" in log_of(operation))

    with pytest.raises(OperationConflict):
        activate.request_activation("vllm", GOOD, actor=actor)
    operations.cancel_operation(operations.get_operation(operation.pk), actor=actor)
    worker.join(timeout=60)

    assert not worker.is_alive()
    assert operations.get_operation(operation.pk).status == "cancelled"
    is_consistent(vllm, GOOD)


def test_gateways_hold_what_asks_for_the_coming_model(
    vllm, hub_model, actor, monkeypatch
):
    hub_model(GOOD)
    operation = activate.request_activation("vllm", GOOD, actor=actor)
    with monkeypatch.context() as dying:
        die_entering(dying, "starting")
        die(operation)

    snapshot = load()
    for name in (GOOD, f"vllm/{GOOD}"):
        assert isinstance(meaning_of(name, snapshot), Meant)
        decision = choose_route(Asked(model=name), snapshot, snapshot.policy)
        assert decision.awaited is not None
        assert decision.awaited.reason_code == "RUNTIME_STARTING"

    assert carry_out(operation).status == "completed"
    snapshot = load()
    decision = choose_route(Asked(model=GOOD), snapshot, snapshot.policy)
    assert decision.awaited is None
    assert decision.routes[0].served_name == GOOD
