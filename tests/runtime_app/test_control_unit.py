"""A server as a unit of systemd: started from its launch file, stopped to the last."""

from __future__ import annotations

import json
import os
import socket
import sys
import time

import psutil
import pytest
from django.conf import settings

from runtime_app.runtimes import control_unit
from runtime_app.runtimes.control import Launch
from runtime_app.runtimes.control_process import PortTaken
from runtime_app.runtimes.control_unit import UnitControl
from runtime_app.runtimes.launch_files import launch_file
from tests.fakes.waiting import wait_until
from tests.servers import free_port
from venom_site.clients import systemd
from venom_site.lib.errors import WireError

pytestmark = [pytest.mark.process, pytest.mark.slow]

NAME, UNIT = "practice", "practice.service"
SLEEP = "import time; time.sleep(99)"
# As vLLM while it starts: the first SIGTERM is lost, the second one ends it.
LOSES_ONE = """
import signal, time
left = [1]
def told(*_):
    left.pop() if left else exit(0)
signal.signal(signal.SIGTERM, told)
print("ready", flush=True)
time.sleep(99)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(99)
"""
FAMILY = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(99)"])
print("ready", flush=True)
time.sleep(99)
"""
FAILS = """
print("loading")
print("ValueError: the KV cache is larger than the memory")
print("RuntimeError: Engine core initialization failed. See root cause above.")
raise SystemExit(3)
"""


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    monkeypatch.setattr(control_unit, "REPEAT_SECONDS", 0.5)
    launch_file(NAME).unlink(missing_ok=True)
    systemd._manager.cache_clear()
    systemd._known.cache_clear()
    yield
    launch_file(NAME).unlink(missing_ok=True)


def program(code, **more):
    argv = (sys.executable, "-S", "-c", code)
    return Launch(argv=argv, environment={"PRACTICE": "1"}, **more)


def control(port=None):
    return UnitControl(name=NAME, unit=UNIT, scope="system", port=port)


@pytest.fixture
def unit(practice_systemd):
    """A unit as in scripts/systemd; with directives of [Service]."""

    def install(**service):
        launcher = f"{sys.executable} -m venom_site.launch {launch_file(NAME)}"
        path = f"PYTHONPATH={settings.BASE_DIR}"
        practice_systemd.install(UNIT, launcher, Environment=path, **service)

    install(TimeoutStopSec="30s")
    practice_systemd.unit = install
    return practice_systemd


def state():
    return control().look().state


def says(text, lines=20):
    return lambda: any(text in line for line in control().tail(lines))


def started(code, text="ready"):
    control().start(program(code))
    wait_until(says(text), seconds=30)
    return control().look()


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stop(grace=20.0):
    control().stop(grace_seconds=grace, check=lambda: None)


def test_the_unit_runs_what_the_launch_file_says(unit):
    seen = control().start(program(SLEEP, served_name="tiny"))
    wait_until(lambda: state() == "running", seconds=20)
    seen = control().look()
    assert psutil.Process(seen.pid).environ().get("PRACTICE") == "1"
    assert seen.memory_bytes > 0
    assert seen.started_at
    assert seen.restarts == 0
    kept = json.loads(launch_file(NAME).read_text())
    assert kept["served_name"] == "tiny"
    assert kept["argv"][-1] == SLEEP
    assert launch_file(NAME).stat().st_mode & 0o777 == 0o600
    stop()
    assert state() == "stopped"
    assert not is_alive(seen.pid)


def test_a_second_start_changes_nothing(unit):
    control().start(program(SLEEP))
    first = control().look().pid
    assert control().start(program(DEAF)).pid == first
    assert json.loads(launch_file(NAME).read_text())["argv"][-1] == SLEEP


def test_the_second_sigterm_ends_one_that_lost_the_first(unit):
    pid = started(LOSES_ONE).pid
    began = time.monotonic()
    stop(grace=60)
    assert time.monotonic() - began < 60
    assert not is_alive(pid)
    assert state() == "stopped"


def test_one_that_ignores_sigterm_is_killed_after_the_grace(unit):
    pid = started(DEAF).pid
    stop(grace=1)
    assert not is_alive(pid)
    assert state() == "stopped"


def test_without_the_right_to_kill_systemds_own_limit_ends_it(unit):
    unit.unit(TimeoutStopSec="1s")
    pid = started(DEAF).pid
    unit.fault(denied=["kill", "reset-failed"])
    stop(grace=0.5)
    assert not is_alive(pid)


def test_children_end_with_the_unit(unit):
    pid = started(FAMILY).pid
    [child] = psutil.Process(pid).children()
    stop()
    assert not is_alive(pid)
    assert not is_alive(child.pid)


def test_what_the_unit_leaves_behind_is_named(unit, monkeypatch):
    monkeypatch.setattr(control_unit, "KILL_SECONDS", 0.5)
    unit.unit(KillMode="process")
    pid = started(FAMILY).pid
    [child] = psutil.Process(pid).children()
    try:
        with pytest.raises(WireError, match=f"left processes behind: {child.pid}"):
            stop()
    finally:
        child.kill()


def test_one_that_fails_to_start_is_crashed_and_its_first_error_told(unit):
    unit.unit(Restart="always", RestartSec="100s")
    control().start(program(FAILS))
    wait_until(lambda: state() == "crashed", seconds=20)
    wait_until(says("root cause"), seconds=20)
    assert control().cause() == "ValueError: the KV cache is larger than the memory"
    assert control().look().exit_code == 3
    stop()
    assert state() == "stopped"


def test_a_silent_end_is_told_by_its_code(unit):
    control().start(program("raise SystemExit(7)"))
    wait_until(lambda: state() == "crashed", seconds=20)
    assert control().cause() == "It ended with code 7."


def test_a_unit_that_starts_something_fixed_cannot_serve_another_model(unit):
    unit.install(UNIT, "/usr/bin/sleep 99")
    with pytest.raises(WireError, match=r"always starts the same command.*ExecStart"):
        control().start(program(SLEEP, model="/models/tiny", served_name="tiny"))
    control().start(program(SLEEP))  # Ollama's own unit: it is started as it is
    wait_until(lambda: state() == "running", seconds=20)


def test_a_missing_unit_is_a_sentence_and_nothing_to_stop(practice_systemd):
    assert control().supports == frozenset()
    assert state() == "unknown"
    with pytest.raises(WireError, match="scripts/systemd"):
        control().start(program(SLEEP))
    stop()


def test_a_refused_unit_leaves_the_sentence_and_no_process(unit):
    unit.fault(denied=["start"])
    with pytest.raises(WireError, match="polkit"):
        control().start(program(SLEEP))
    assert state() == "stopped"


def test_a_wish_to_cancel_ends_the_waiting(unit):
    started(DEAF)

    def cancelled():
        raise KeyError("cancelled")

    with pytest.raises(KeyError):
        control().stop(grace_seconds=20, check=cancelled)


def test_where_systemd_is_away_nothing_is_known_and_nothing_raised(unit):
    unit.fault(absent=True)
    assert state() == "unknown"
    assert "does not manage" in control().cause()
    unit.fault(journal="denied")
    assert "systemd-journal" in control().tail(5)[0]


def test_the_log_is_the_journal_and_is_followed_by_a_cursor(unit):
    started(FAMILY)
    assert control().log_paths() == []
    lines, cursor = control().new_lines(9)
    assert any("ready" in line for line in lines)
    assert control().new_lines(9, cursor) == ([], cursor)
    stop()
    lines, _ = control().new_lines(9, cursor)
    assert any("Stopped" in line for line in lines)


def test_a_stranger_on_the_port_is_named_and_left_alone(unit):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert control(port).look().holder.pid == os.getpid()
        with pytest.raises(PortTaken, match=f"held by pid {os.getpid()}"):
            control(port).start(program(SLEEP))
        control(port).stop(grace_seconds=2, check=lambda: None)
    assert control(port).look().holder is None


LATE = """
import pathlib, socket, time
while not pathlib.Path({gate!r}).exists():
    time.sleep(0.02)
listener = socket.create_server(("127.0.0.1", {port}))
time.sleep(99)
"""


def test_it_runs_once_it_listens(unit, tmp_path):
    gate, port = tmp_path / "gate", free_port()
    control(port).start(program(LATE.format(gate=str(gate), port=port)))
    assert control(port).look().state == "starting"
    gate.touch()
    wait_until(lambda: control(port).look().state == "running", seconds=20)
    assert control(port).look().holder is None
