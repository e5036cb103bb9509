"""A vLLM that systemd runs: started, killed, brought back and stopped."""

from __future__ import annotations

import json
import os
import signal
import sys

import psutil
import pytest
from django.conf import settings

from models_app.choices import OperationStatus
from runtime_app.choices import ManagedBy, RuntimeStatus
from runtime_app.monitoring import health
from runtime_app.runtimes.launch_files import launch_file
from runtime_app.services import servers
from tests.fakes.waiting import wait_until
from tests.runtime_app.own_servers import MODEL, carry_out, fresh
from venom_site.clients import systemd

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.process,
    pytest.mark.slow,
]
pytest_plugins = ("tests.runtime_app.own_server_fixtures",)

UNIT = "practice-vllm.service"


@pytest.fixture
def unit_vllm(practice_systemd, own_vllm, own_settings, tmp_path):
    """The row of a vLLM whose unit is written as ours are."""
    own_settings(VLLM_SYSTEMD_UNIT=UNIT)
    systemd._manager.cache_clear()
    systemd._known.cache_clear()
    practice_systemd.install(
        UNIT,
        f"{sys.executable} -m venom_site.launch {launch_file('vllm')}",
        Environment=f"PYTHONPATH={settings.BASE_DIR} PRACTICE_VLLM={tmp_path}/tricks",
        Restart="always",
        RestartSec="100ms",
        KillMode="mixed",
        TimeoutStopSec="20s",
    )
    return own_vllm


def done(operation):
    operation = carry_out(operation)
    assert operation.status == OperationStatus.COMPLETED, operation.error
    return operation


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_operation_starts_the_unit_with_its_model_and_stops_all_of_it(
    unit_vllm, practice_systemd, actor
):
    done(servers.request_start(unit_vllm, actor=actor, model=MODEL))

    row = fresh(unit_vllm)
    assert (row.status, row.managed_by) == (RuntimeStatus.ONLINE, ManagedBy.SYSTEMD)
    assert row.pid == practice_systemd.state(UNIT)["MainPID"]
    tree = [row.pid, *(p.pid for p in psutil.Process(row.pid).children())]
    assert len(tree) > 1

    done(servers.request_stop(row, actor=actor))

    assert fresh(row).status == RuntimeStatus.OFFLINE
    assert not any(map(is_alive, tree))
    assert practice_systemd.state(UNIT)["ActiveState"] == "inactive"


def test_a_dead_engine_and_exit_code_0_are_restarted_by_systemd_and_counted(
    unit_vllm, practice_systemd, actor
):
    done(servers.request_start(unit_vllm, actor=actor, model=MODEL))
    before = fresh(unit_vllm).pid
    for engine in psutil.Process(before).children():
        os.kill(engine.pid, signal.SIGKILL)

    wait_until(lambda: practice_systemd.state(UNIT)["NRestarts"] == 1, seconds=40)
    wait_until(
        lambda: health.check_runtime(fresh(unit_vllm)).status == "online", seconds=40
    )
    row = fresh(unit_vllm)
    assert row.pid not in {None, before}
    assert row.restarts == 1


def test_a_unit_that_cannot_start_its_model_quotes_the_cause_and_stays_down(
    unit_vllm, practice_systemd, actor, tmp_path
):
    (tmp_path / "tricks").write_text(json.dumps({"fail": "bad_weights"}))

    operation = carry_out(servers.request_start(unit_vllm, actor=actor, model=MODEL))

    assert (operation.status, operation.error_code) == ("failed", "start_failed")
    assert "incomplete metadata" in operation.error
    wait_until(
        lambda: practice_systemd.state(UNIT)["ActiveState"] == "inactive", seconds=20
    )
    assert fresh(unit_vllm).status == RuntimeStatus.OFFLINE


def test_a_systemd_that_refuses_says_which_command_helps(
    unit_vllm, practice_systemd, actor
):
    practice_systemd.fault(denied=["start"])

    operation = carry_out(servers.request_start(unit_vllm, actor=actor, model=MODEL))

    assert operation.error_code == "start_failed"
    assert f"sudo systemctl start {UNIT}" in operation.error
    assert "polkit" in operation.error
