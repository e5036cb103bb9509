"""Carrying an install out against the practice Ollama, and all that goes wrong."""

from __future__ import annotations

import re

import pytest

from models_app.choices import OperationStatus, PendingPhase
from models_app.models import InstalledModel, Operation
from models_app.services import (
    claims,
    install_follow_up,
    installing,
    operation_lists,
    operations,
    partials,
    sweep,
    work,
)
from tests.factories import InstalledModelFactory, OperationFactory
from tests.fakes.ollama_manifests import manifest_of
from tests.fakes.waiting import wait_until
from tests.models_app.installs import ask, begin, carry_out, lines_of
from venom_site.lib.access import SYSTEM

pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.ollama_fixtures")
pytestmark = pytest.mark.django_db(transaction=True)

NAME = "qwen3:0.6b"
BYTES = 522_653_767
SLOW = 100_000_000  # bytes a second: five seconds for all of it


def fresh(operation) -> Operation:
    return operations.get_operation(operation.pk)


def listed_digest(ollama) -> str:
    return manifest_of(ollama.state.find(NAME)).digest


def halfway(operation) -> None:
    wait_until(lambda: (fresh(operation).bytes_done or 0) > 0)


@pytest.fixture
def slow_ollama(ollama):
    ollama.state.bytes_per_second = SLOW
    yield ollama
    ollama.state.bytes_per_second = 0


def test_an_install_ends_with_a_model_that_was_proved(ollama):
    operation = carry_out(ask(NAME))

    assert (operation.status, operation.error) == ("completed", "")
    assert operation.progress == 100
    assert operation.bytes_done == operation.bytes_total == BYTES
    model = InstalledModel.objects.get()
    assert (model.name, model.status, model.size_bytes) == (NAME, "installed", BYTES)
    assert model.digest == listed_digest(ollama) == operation.checkpoint["digest"]
    assert model.context_length == 40_960
    assert model.installed_by == "system"
    assert model.capabilities.supports_thinking
    assert [step.state for step in operation.steps] == ["done"] * 5
    lines = lines_of(operation)
    assert any("promises 523 MB" in line for line in lines)
    assert lines[-1] == "Completed."
    [shown] = operation_lists.latest()
    assert re.fullmatch(rf"{NAME} is installed: 523 MB in .+ m?s\.", shown.newest_line)


def test_installing_again_looks_for_a_newer_version(ollama):
    carry_out(ask(NAME))
    ollama.state.library.publish(NAME)

    operation = carry_out(ask(NAME))

    assert operation.status == "completed"
    assert InstalledModel.objects.get().digest == listed_digest(ollama)
    assert operation.checkpoint["digest"] == listed_digest(ollama)


def test_a_registry_that_is_away_costs_only_exactness(ollama, practice_registry):
    practice_registry.stop()

    operation = carry_out(ask(NAME))

    assert operation.status == "completed"
    assert 0 < operation.bytes_total <= BYTES
    assert "digest" not in operation.checkpoint


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("disk_full", "disk_full"),
        ("digest_mismatch", "digest_mismatch"),
        ("access_denied", "access_denied"),
        ("no_manifest", "model_not_found"),
    ],
)
def test_a_failure_in_the_stream_has_a_name_and_a_next_step(ollama, fault, code):
    operation = ask(NAME)
    ollama.state.faults.plan("/api/pull", fault)

    carry_out(operation)

    assert (operation.status, operation.error_code) == ("failed", code)
    assert NAME in operation.error or "disk" in operation.error
    assert len(operation.error) < 500
    assert not InstalledModel.objects.exists()

    operations.retry_operation(fresh(operation), actor=SYSTEM)
    assert carry_out(operation).status == "completed"


def test_a_model_nobody_has_fails_with_the_servers_own_answer(ollama):
    operation = carry_out(ask("nowhere-to-be-found:1b"))

    assert operation.error_code == "model_not_found"
    assert operation.steps[2].state != "done"


def test_a_disk_that_filled_meanwhile_ends_it_before_the_first_byte(
    ollama, environment
):
    operation = ask(NAME)
    environment(MODELS_MAX_DISK_GB=0.1)

    carry_out(operation)

    assert operation.error_code == "does_not_fit"
    assert ollama.state.requests["/api/pull"] == 0


def test_a_tag_that_moved_while_the_bytes_came_is_no_lie(ollama):
    operation = ask(NAME)
    ollama.state.bytes_per_second = SLOW
    thread = begin(operation)
    wait_until(lambda: fresh(operation).checkpoint.get("digest"))
    before = fresh(operation).checkpoint["digest"]
    operations.pause_operation(fresh(operation), actor=SYSTEM)
    thread.join(5)
    ollama.state.bytes_per_second = 0
    newer = ollama.state.library.publish(NAME)
    operations.resume_operation(fresh(operation), actor=SYSTEM)

    carry_out(operation)

    assert operation.status == "completed", operation.error
    assert operation.checkpoint["digest"] == manifest_of(newer).digest != before


def test_a_store_that_lists_other_bytes_leaves_a_broken_model(ollama):
    ollama.state.faults.plan("/api/tags", "lying_digest", times=0)

    operation = carry_out(ask(NAME))

    assert (operation.status, operation.error_code) == ("failed", "digest_mismatch")
    model = InstalledModel.objects.get()
    assert model.status == "broken"
    assert "promised" in model.error
    ollama.state.faults.clear()
    assert carry_out(ask(NAME)).status == "completed"
    model.refresh_from_db()
    assert (model.status, model.error) == ("installed", "")


@pytest.mark.slow
def test_progress_counts_up_and_a_cancel_ends_it_within_two_seconds(slow_ollama):
    operation = ask(NAME)
    thread = begin(operation)
    halfway(operation)
    running = fresh(operation)
    assert running.phase == "downloading"
    assert running.bytes_total == BYTES
    assert 0 < running.progress < 99

    operations.cancel_operation(running, actor=SYSTEM)
    thread.join(2)

    assert not thread.is_alive()
    ended = fresh(operation)
    assert ended.status == OperationStatus.CANCELLED
    assert ended.bytes_done > 0
    wait_until(lambda: slow_ollama.state.cancelled == 1)
    assert not InstalledModel.objects.exists()


@pytest.mark.slow
def test_a_pause_keeps_the_bytes_and_a_resume_fetches_none_twice(slow_ollama):
    operation = ask(NAME)
    thread = begin(operation)
    halfway(operation)
    operations.pause_operation(fresh(operation), actor=SYSTEM)
    thread.join(2)
    paused = fresh(operation)
    assert (paused.status, paused.phase) == ("pending", PendingPhase.PAUSED)
    kept = paused.bytes_done
    slow_ollama.state.bytes_per_second = 0

    operations.resume_operation(paused, actor=SYSTEM)
    carry_out(operation)

    assert operation.status == "completed"
    assert operation.bytes_done == BYTES >= kept > 0
    fetched = slow_ollama.state.folder.fetched_bytes
    assert sum(fetched.values()) <= BYTES
    assert not any("are gone" in line for line in lines_of(operation))


@pytest.mark.slow
def test_an_ollama_that_restarts_is_waited_for_and_what_it_cleared_is_told(slow_ollama):
    slow_ollama.state.prune_grace_seconds = 0
    operation = ask(NAME)
    thread = begin(operation)
    wait_until(lambda: (fresh(operation).bytes_done or 0) > 20_000_000)
    slow_ollama.stop()
    wait_until(lambda: "Trying again" in fresh(operation).message)
    waiting = fresh(operation)
    assert (waiting.status, waiting.phase) == ("in_progress", "downloading")
    slow_ollama.state.bytes_per_second = 0

    slow_ollama.start()
    thread.join(15)

    ended = fresh(operation)
    assert ended.status == "completed", ended.error
    lines = lines_of(ended)
    assert sum("Waiting for it" in line for line in lines) == 1
    assert any("are gone" in line for line in lines)
    assert "Bytes come again." in lines


@pytest.mark.slow
def test_an_absent_ollama_can_be_cancelled_while_it_is_waited_for(ollama):
    operation = ask(NAME)
    ollama.stop()
    thread = begin(operation)
    wait_until(lambda: "Trying again" in fresh(operation).message)

    operations.cancel_operation(fresh(operation), actor=SYSTEM)
    thread.join(2)

    assert not thread.is_alive()
    assert fresh(operation).status == OperationStatus.CANCELLED


def test_patience_that_has_ended_is_a_named_failure(ollama, monkeypatch):
    monkeypatch.setattr(installing, "GIVE_UP_SECONDS", 0)
    monkeypatch.setattr("models_app.services.patience.GIVE_UP_SECONDS", 0)
    operation = ask(NAME)
    ollama.stop()

    carry_out(operation)

    assert (operation.status, operation.error_code) == (
        "failed",
        "provider_unreachable",
    )
    assert "Retry" in operation.error


def test_a_lost_worker_is_followed_by_one_that_goes_on(ollama):
    operation = ask(NAME)
    ollama.state.bytes_per_second = SLOW
    lost = claims.claim(operation.pk)
    Operation.objects.filter(pk=operation.pk).update(
        bytes_done=20_000_000, checkpoint={"digest": "d", "size_bytes": BYTES}
    )
    sweep.reap(fresh(operation))
    assert fresh(operation).phase == PendingPhase.INTERRUPTED
    ollama.state.bytes_per_second = 0

    carry_out(operation)

    assert operation.status == "completed"
    assert operation.attempts == 2
    with pytest.raises(work.Fenced):
        lost.checkpoint(line="I am still here.")


def test_the_activation_follows_once_however_often_this_runs(ollama):
    operation = ask(NAME, activate="now")
    taken = claims.claim(operation.pk)

    install_follow_up.start_activation(taken)
    install_follow_up.start_activation(taken)

    [child] = operation.children.all()
    assert (child.operation_type, child.model_name) == ("activate", NAME)
    assert child.params == {"model": NAME}
    assert (child.provider, child.runtime) == ("ollama", "ollama")
    assert child.target_key == "test-node|activation"
    assert child.lock_key == "test-node|runtimes"
    assert child.started_by == "system"


def test_an_install_without_the_wish_activates_nothing(ollama):
    assert carry_out(ask(NAME)).children.count() == 0


def test_the_wish_to_activate_may_come_while_it_runs(ollama):
    operation = ask(NAME)
    taken = claims.claim(operation.pk)
    ask(NAME, activate="now")

    install_follow_up.start_activation(taken)

    assert operation.children.count() == 1


def test_another_activation_under_way_costs_only_a_line(ollama):
    OperationFactory(
        operation_type="activate",
        target_key="test-node|activation",
        model_name="phi3:mini",
    )

    operation = carry_out(ask(NAME, activate="now"))

    assert operation.status == "completed"
    assert operation.children.count() == 0
    assert any(line.startswith("It is not activated:") for line in lines_of(operation))


def test_a_worker_that_lost_its_claim_starts_no_activation(ollama):
    taken = claims.claim(ask(NAME, activate="now").pk)
    sweep.reap(fresh(taken.operation))

    with pytest.raises(work.Fenced):
        install_follow_up.start_activation(taken)

    assert not Operation.objects.filter(operation_type="activate").exists()


# Letting go


def half(model_name=NAME, **fields):
    usual = {"operation_type": "install", "provider": "ollama", "params": {}}
    usual |= {"bytes_done": 20, "bytes_total": 90, "target_key": f"k/{model_name}"}
    return OperationFactory(model_name=model_name, **usual | fields)


@pytest.mark.parametrize(
    "state",
    [
        {"failed": True},
        {"status": "cancelled"},
        {"pause_requested": True, "phase": "paused"},
        {"phase": "interrupted"},
    ],
)
def test_a_half_download_can_be_let_go(ollama, actor, state):
    operation = half(checkpoint={"digest": "d"}, **state)

    gone = partials.discard_install(fresh(operation), actor=actor)

    assert gone.is_finished
    assert (gone.bytes_done, gone.checkpoint, gone.progress) == (None, {}, 0)
    assert "Discarded by system. Ollama keeps" in lines_of(gone)[-1]
    assert partials.list_partials() == []


@pytest.mark.parametrize(
    "state",
    [
        {"running": True},
        {"completed": True},
        {"failed": True, "bytes_done": None},
        {"failed": True, "operation_type": "probe"},
    ],
)
def test_what_is_not_half_cannot_be_let_go(ollama, actor, state):
    operation = half(**state)

    with pytest.raises(partials.Conflict) as refused:
        partials.discard_install(fresh(operation), actor=actor)

    assert refused.value.extras["operation_id"] == str(operation.pk)


def test_partials_are_the_newest_attempts_that_hold_bytes(ollama, actor):
    half(failed=True)
    newest = half(failed=True)
    half(failed=True, model_name="b:1", bytes_done=None)
    half(completed=True, model_name="c:1")
    running = half(running=True, model_name="d:1")

    assert partials.list_partials() == [running, newest]
    assert partials.discard_all(actor=actor) == [newest]
    assert partials.list_partials() == [running]


def test_a_discarded_download_can_be_asked_for_again(ollama, actor):
    operation = ask(NAME)
    ollama.state.faults.plan("/api/pull", "disk_full")
    carry_out(operation)
    partials.discard_install(fresh(operation), actor=actor)

    operations.retry_operation(fresh(operation), actor=actor)

    assert carry_out(operation).status == "completed"


def test_one_that_was_installed_by_hand_meanwhile_is_taken_over(ollama):
    InstalledModelFactory(name=NAME, digest="older")

    assert carry_out(ask(NAME)).status == "completed"
    assert InstalledModel.objects.get().digest != "older"
