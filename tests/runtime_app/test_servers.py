"""Servers that we start and stop ourselves: real processes of a practice vLLM."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading

import psutil
import pytest

from models_app.choices import OperationStatus
from models_app.models import Operation
from models_app.services import operations
from models_app.services.work import Draining
from runtime_app.choices import ManagedBy, RuntimeStatus, Wish
from runtime_app.models import Alert, Drain, GatewayPresence
from runtime_app.monitoring import health, process_watch
from runtime_app.monitoring.process_watch import ProcessWatch
from runtime_app.runtimes.controls import control_for
from runtime_app.services import crashes, server_restart, server_work, servers
from runtime_app.services.unload_now import start_with_the_house, unload_everything_now
from tests.factories import RuntimeFactory
from tests.fakes.waiting import wait_until
from tests.runtime_app.own_servers import MODEL, carry_out, free_port, fresh

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.process,
    pytest.mark.slow,
]
pytest_plugins = ("tests.fakes.fixtures", "tests.runtime_app.own_server_fixtures")


def started(row, actor, **wish):
    operation = carry_out(servers.request_start(row, actor=actor, **wish))
    assert operation.status == OperationStatus.COMPLETED, operation.error
    return fresh(row)


def test_a_server_is_started_with_its_model_and_stopped_without_remains(
    own_vllm, folder, actor, published
):
    row = started(own_vllm, actor, model=MODEL)

    assert (row.status, row.wish) == (RuntimeStatus.ONLINE, Wish.RUNNING)
    assert row.serves(MODEL)["root"] == str(folder)
    assert row.launch["served_name"] == MODEL
    assert psutil.pid_exists(row.pid)
    states = [data["status"] for kind, data in published if kind == "runtime.changed"]
    assert states.index("starting") < states.index("online")
    tree = {row.pid, *(p.pid for p in psutil.Process(row.pid).children())}

    operation = carry_out(servers.request_stop(row, actor=actor))

    assert operation.status == OperationStatus.COMPLETED, operation.error
    row = fresh(row)
    assert (row.status, row.wish, row.process) == ("offline", Wish.STOPPED, "")
    assert row.pid is None
    assert not any(map(_lives, tree))
    row = health.check_runtime(row)
    assert (row.status, row.error_message) == (RuntimeStatus.OFFLINE, "")


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_start_that_fails_quotes_the_first_cause_and_leaves_nothing(
    own_vllm, actor, tricks
):
    tricks(fail="bad_weights")

    operation = carry_out(servers.request_start(own_vllm, actor=actor, model=MODEL))

    assert (operation.status, operation.error_code) == ("failed", "start_failed")
    assert "incomplete metadata" in operation.error
    assert MODEL in operation.error
    row = fresh(own_vllm)
    assert (row.status, row.wish, row.process) == ("offline", Wish.STOPPED, "")
    assert "incomplete metadata" in row.error_message
    row = health.check_runtime(row)
    assert "incomplete metadata" in row.error_message
    assert not Alert.objects.exists()


def test_a_server_that_serves_another_name_is_stopped_again(own_vllm, actor, tricks):
    tricks(served_names=["somebody/else"])

    operation = carry_out(servers.request_start(own_vllm, actor=actor, model=MODEL))

    assert operation.error_code == "start_failed"
    assert "It serves somebody/else" in operation.error
    assert control_for(fresh(own_vllm)).look().state == "stopped"


def test_a_server_that_lists_its_model_and_gives_no_token_is_stopped_again(
    own_vllm, own_settings, actor, tricks
):
    own_settings(VENOM_FIRST_BYTE_SECONDS_LOCAL=1)
    tricks(freeze=True)

    operation = carry_out(servers.request_start(own_vllm, actor=actor, model=MODEL))

    assert operation.error_code == "start_failed"
    row = fresh(own_vllm)
    assert (row.status, row.wish, row.pid) == ("offline", Wish.STOPPED, None)
    assert control_for(row).look().state == "stopped"


def test_health_says_starting_while_the_process_lives_and_nothing_listens(
    own_vllm, actor, tricks
):
    tricks(start_seconds=2)
    operation = servers.request_start(own_vllm, actor=actor, model=MODEL)
    worker = threading.Thread(target=carry_out, args=(operation,))
    worker.start()
    try:
        wait_until(lambda: fresh(own_vllm).pid is not None)
        seen = health.check_runtime(fresh(own_vllm))
        assert seen.status == RuntimeStatus.STARTING
        assert seen.error_message == ""
    finally:
        worker.join(30)
    assert fresh(own_vllm).status == RuntimeStatus.ONLINE


def test_a_start_may_be_cancelled_and_leaves_nothing(own_vllm, actor, tricks):
    tricks(start_seconds=30)
    operation = servers.request_start(own_vllm, actor=actor, model=MODEL)
    worker = threading.Thread(target=carry_out, args=(operation,))
    worker.start()
    try:
        wait_until(lambda: fresh(own_vllm).pid is not None)
        pid = fresh(own_vllm).pid
        operations.cancel_operation(operations.get_operation(operation.pk), actor=actor)
    finally:
        worker.join(30)
    assert operations.get_operation(operation.pk).status == OperationStatus.CANCELLED
    assert not _lives(pid)
    assert fresh(own_vllm).status == RuntimeStatus.OFFLINE


def test_a_second_worker_goes_on_with_the_server_that_the_first_one_started(
    own_vllm, actor
):
    row = started(own_vllm, actor, model=MODEL)
    operation = carry_out(servers.request_start(row, actor=actor))

    assert operation.status == OperationStatus.COMPLETED, operation.error
    assert fresh(row).pid == row.pid


def test_a_restart_brings_the_same_model_back_in_another_process(own_vllm, actor):
    row = started(own_vllm, actor, model=MODEL)

    operation = carry_out(servers.request_restart(row, actor=actor))

    assert operation.status == OperationStatus.COMPLETED, operation.error
    again = fresh(row)
    assert again.pid != row.pid
    assert again.serves(MODEL)
    assert not _lives(row.pid)
    taken = set(operation.checkpoint["steps"])
    assert {"draining", "stopping", "starting", "confirming"} <= taken


def test_a_restart_with_settings_that_do_not_start_ends_as_it_was(
    own_vllm, actor, own_settings
):
    row = started(own_vllm, actor, model=MODEL)
    own_settings(VLLM_EXTRA_ARGS="--no-such-flag")

    operation = carry_out(servers.request_restart(row, actor=actor))

    assert operation.status == OperationStatus.FAILED
    assert operation.error_code == "start_failed"
    assert "--no-such-flag" in operation.error
    again = fresh(row)
    assert (again.status, again.launch) == (RuntimeStatus.ONLINE, row.launch)
    assert again.serves(MODEL)
    assert _lives(again.pid)


def test_a_worker_that_leaves_on_the_way_back_is_followed_by_one_that_goes_on(
    own_vllm, actor, own_settings, monkeypatch
):
    row = started(own_vllm, actor, model=MODEL)
    own_settings(VLLM_EXTRA_ARGS="--no-such-flag")
    operation = servers.request_restart(row, actor=actor)
    with monkeypatch.context() as patch:
        patch.setattr(server_restart, "roll_back", _leave)
        carry_out(operation)
    assert operations.get_operation(operation.pk).status == OperationStatus.PENDING
    assert not _lives(row.pid)

    operation = carry_out(operation)

    assert (operation.status, operation.error_code) == ("failed", "start_failed")
    assert "--no-such-flag" in operation.error
    assert fresh(row).serves(MODEL)


def _leave(*_about):
    raise Draining


def test_a_restart_when_idle_waits_for_the_last_request(own_vllm, actor):
    row = started(own_vllm, actor, model=MODEL)
    gateway = GatewayPresence.objects.create(
        node=row.node, process="gateway", in_flight={f"vllm|{MODEL}": 1}
    )
    operation = servers.request_restart(row, actor=actor, when="idle")
    worker = threading.Thread(target=carry_out, args=(operation,))
    worker.start()
    try:
        wait_until(lambda: "still run on vllm: 1" in _message(operation))
        assert fresh(row).pid == row.pid
        assert not Drain.objects.exists(), "who asks meanwhile is answered"
        gateway.delete()
    finally:
        worker.join(60)
    assert operations.get_operation(operation.pk).status == OperationStatus.COMPLETED
    assert fresh(row).pid != row.pid


def test_a_stop_when_idle_can_be_cancelled_while_it_waits(own_vllm, actor):
    row = started(own_vllm, actor, model=MODEL)
    GatewayPresence.objects.create(
        node=row.node, process="gateway", in_flight={f"vllm|{MODEL}": 1}
    )
    operation = servers.request_stop(row, actor=actor, when="idle")
    worker = threading.Thread(target=carry_out, args=(operation,))
    worker.start()
    try:
        wait_until(lambda: "still run on" in _message(operation))
        operations.cancel_operation(operations.get_operation(operation.pk), actor=actor)
    finally:
        worker.join(60)
    assert operations.get_operation(operation.pk).status == OperationStatus.CANCELLED
    assert fresh(row).pid == row.pid
    assert not Drain.objects.exists()


def _message(operation) -> str:
    return operations.get_operation(operation.pk).message


def test_a_server_that_ignores_sigterm_is_stopped_all_the_same(own_vllm, actor, tricks):
    tricks(ignore_sigterm=True)
    row = started(own_vllm, actor, model=MODEL)

    operation = carry_out(servers.request_stop(row, actor=actor))

    assert operation.status == OperationStatus.COMPLETED, operation.error
    assert not _lives(row.pid)


def test_a_crash_is_told_and_the_server_comes_back(own_vllm, actor):
    row = started(own_vllm, actor, model=MODEL)
    os.kill(row.pid, signal.SIGKILL)
    wait_until(lambda: not _lives(row.pid))

    row = health.check_runtime(row)

    assert (row.status, row.crashes) == (RuntimeStatus.OFFLINE, 1)
    assert row.start_again_at is not None
    alert = Alert.objects.get()
    assert (alert.code, alert.model, alert.runtime) == ("server_crashed", MODEL, "vllm")
    assert alert.endpoint == row.openai_url
    health.check_runtime(row)
    assert fresh(row).crashes == 1

    wait_until(lambda: _is_due(row))
    again = Operation.objects.get(params__again=True)
    assert carry_out(again).status == OperationStatus.COMPLETED
    assert fresh(row).restarts == 1
    assert fresh(row).status == RuntimeStatus.ONLINE
    health.check_runtime(fresh(row))
    assert Alert.objects.get().state == "closed"


def _is_due(row) -> bool:
    crashes.start_again(fresh(row))
    return Operation.objects.filter(params__again=True).exists()


def test_after_five_failed_starts_it_stays_stopped_with_its_alert_open(
    own_vllm, actor, tricks
):
    row = started(own_vllm, actor, model=MODEL)
    tricks(fail="out_of_memory")
    os.kill(row.pid, signal.SIGKILL)
    wait_until(lambda: not _lives(row.pid))
    health.check_runtime(row)
    for already, stays in ((1, Wish.RUNNING), (5, Wish.STOPPED)):
        rows = type(row).objects.filter(pk=row.pk)
        rows.update(crashes=already, start_again_at=row.changed_at)
        crashes.start_again(fresh(row))
        pending = Operation.objects.open().get(params__again=True)
        assert carry_out(pending).status == OperationStatus.FAILED
        assert (fresh(row).crashes, fresh(row).wish) == (already + 1, stays)

    row = fresh(row)
    assert (row.wish, row.start_again_at) == (Wish.STOPPED, None)
    assert row.status == RuntimeStatus.OFFLINE
    assert "CUDA out of memory" in Alert.objects.get(state="open").message


def test_what_we_started_ends_with_the_house_and_comes_back_with_it(own_vllm, actor):
    row = started(own_vllm, actor, model=MODEL)

    said = unload_everything_now(5)

    assert said == ["vLLM: stopped."]
    assert not _lives(row.pid)
    row = health.check_runtime(fresh(row))
    assert (row.status, row.crashes, row.wish) == ("offline", 0, Wish.STOPPED)
    assert not Operation.objects.filter(params__again=True).exists()
    start_with_the_house()
    row = health.check_runtime(fresh(row))
    again = carry_out(Operation.objects.get(params__again=True))
    assert again.status == OperationStatus.COMPLETED, again.error
    assert fresh(row).serves(MODEL)
    assert not Alert.objects.exists()


def test_a_killed_server_is_told_without_waiting_for_a_second_look(
    own_vllm, actor, monkeypatch
):
    """Pages heard of a kill -9 after one to two seconds: a closed port was looked at
    twice though the process was known to be gone."""
    row = started(own_vllm, actor, model=MODEL)
    os.kill(row.pid, signal.SIGKILL)
    wait_until(lambda: not _lives(row.pid), seconds=20)
    monkeypatch.setattr(health, "SECOND_LOOK_SECONDS", 3600)

    row = health.check_runtime(fresh(row))

    assert (row.status, row.crashes) == (RuntimeStatus.OFFLINE, 1)


def test_a_server_is_watched_as_soon_as_it_serves(own_vllm, actor, monkeypatch):
    sent = []
    monkeypatch.setattr(
        server_work, "send_job", lambda task, **how: sent.append((task, how["queue"]))
    )
    row = started(own_vllm, actor, model=MODEL)

    assert sent == [("runtime_app.check_health", row.node.queue)]


def test_a_server_that_another_check_holds_stays_watched(own_vllm, actor, monkeypatch):
    """One kill in ten was told with the next poll, after five seconds: the check that
    was called found the server in the hands of another one, and forgot it."""
    row, told = started(own_vllm, actor, model=MODEL), threading.Event()
    monkeypatch.setattr(process_watch, "watch", ProcessWatch(told.set))
    monkeypatch.setattr(health, "_being_looked_at", {row.pk})

    health.check_node()

    os.kill(row.pid, signal.SIGKILL)
    assert told.wait(20)


def test_a_foreign_server_is_adopted_and_never_stopped(
    own_vllm, practice_openai, actor
):
    own_vllm.base_url = f"{practice_openai.url}/v1"
    own_vllm.save()

    row = health.check_runtime(own_vllm)

    assert (row.status, row.managed_by) == (RuntimeStatus.ONLINE, ManagedBy.EXTERNAL)
    assert row.holder["pid"] == os.getpid()
    with pytest.raises(servers.NotOurs, match=str(os.getpid())) as refused:
        servers.request_stop(row, actor=actor)
    assert refused.value.code == "not_ours"


def test_a_foreign_server_in_our_place_is_a_conflict_with_its_owner(
    own_vllm, practice_openai, actor
):
    own_vllm.base_url = f"{practice_openai.url}/v1"
    own_vllm.wish = Wish.RUNNING
    own_vllm.save()

    row = health.check_runtime(own_vllm)

    assert row.status == RuntimeStatus.CONFLICT
    assert row.holder["pid"] == os.getpid()
    assert "Venom did not start it" in row.error_message
    assert not Alert.objects.exists()

    with pytest.raises(servers.NotOurs):
        server_work.ours_or_refused(row)
    operation = carry_out(servers.request_stop(row, actor=actor))

    assert operation.status == OperationStatus.COMPLETED, operation.error
    row = health.check_runtime(fresh(row))
    assert (row.status, row.managed_by) == (RuntimeStatus.ONLINE, ManagedBy.EXTERNAL)


def test_a_crashed_server_is_not_started_against_who_took_its_place(
    own_vllm, actor, practice_openai
):
    row = started(own_vllm, actor, model=MODEL)
    os.kill(row.pid, signal.SIGKILL)
    wait_until(lambda: not _lives(row.pid))
    row.base_url = f"{practice_openai.url}/v1"
    row.save()

    row = health.check_runtime(row)

    assert (row.status, row.crashes) == (RuntimeStatus.CONFLICT, 0)
    assert not Operation.objects.filter(params__again=True).exists()


def test_ollama_is_started_without_a_model(own_settings, actor):
    port = free_port()
    program = [sys.executable, "-m", "tests.fakes.ollama", "--port", str(port)]
    own_settings(
        OLLAMA_COMMAND=shlex.join(program), OLLAMA_SYSTEMD_UNIT="absent.service"
    )
    row = RuntimeFactory(
        base_url=f"http://127.0.0.1:{port}", managed_by=ManagedBy.PROCESS
    )
    try:
        row = started(row, actor)
        assert row.status == RuntimeStatus.ONLINE
        assert row.launch["environment"]["OLLAMA_HOST"] == f"127.0.0.1:{port}"
        assert health.check_runtime(row).served_models
    finally:
        operation = carry_out(servers.request_stop(fresh(row), actor=actor))
    assert operation.status == OperationStatus.COMPLETED, operation.error
    assert not _lives(row.pid)
