"""The supervisor's rules with stand-in roles: restart, grace, groups, no orphans."""

import signal
import sys
import time
from pathlib import Path

import pytest

from tests.embedded.stand_in import ROOT, Running, environment, kill, living
from tests.embedded.waiting import wait_until
from venom_site.embedded.supervisor import describe_end

pytestmark = [pytest.mark.process, pytest.mark.slow]

PROGRAM = """
import os, sys
from pathlib import Path
from venom_site.embedded.supervisor import Role, StopSignals, Supervisor, say

supervisor = Supervisor(StopSignals(), dict(os.environ), Path.cwd())
for number, program in enumerate(sys.argv[1:]):
    watched = (sys.executable, "-m", "venom_site.embedded.parent_watch", program)
    supervisor.start(Role(name=f"role{number}", argv=watched))
say("running")
supervisor.run()
supervisor.stop()
say("over")
"""
QUIET = "import signal\nprint('up', flush=True)\nsignal.pause()\n"
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('up', flush=True)
while True:
    time.sleep(60)
"""
PARENT = """
import signal, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import stubborn"])
signal.pause()
"""
SHORT = "raise SystemExit(3)\n"


@pytest.fixture
def supervise(tmp_path):
    """Starts a supervisor over the named programs."""
    programs = {"quiet": QUIET, "stubborn": STUBBORN, "parent": PARENT, "short": SHORT}
    for name, text in programs.items():
        (tmp_path / f"{name}.py").write_text(text)
    env = environment(MARK=str(tmp_path), PYTHONPATH=f"{ROOT}:{tmp_path}")
    started = []

    def start(*names):
        running = Running(
            [sys.executable, "-c", PROGRAM, *names], cwd=tmp_path, env=env
        )
        started.append(running)
        running.wait_for("running")
        return running

    start.mark = f"MARK={tmp_path}"
    yield start
    for running in started:
        running.__exit__()
    wait_until(lambda: not living(start.mark), seconds=12)


def pid_of(supervise, text) -> int:
    return next((p for p, line in living(supervise.mark).items() if text in line), 0)


def test_a_role_that_dies_young_comes_back_slower_each_time(supervise):
    running = supervise("short")
    running.wait_for("in 2 s")
    first, second = (line for line in running.output.splitlines() if "role0" in line)
    assert first.endswith("(exit code 3); it is started again in 1 s.")
    assert second.endswith("(exit code 3); it is started again in 2 s.")


def test_a_role_that_ignores_sigterm_is_gone_within_ten_seconds(supervise):
    running = supervise("stubborn", "quiet")
    wait_until(lambda: running.output.count("up") >= 2, seconds=10)
    started = time.monotonic()
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(12) == 0
    assert 7 < time.monotonic() - started < 10
    assert living(supervise.mark) == {}


def test_a_second_ctrl_c_does_not_wait_for_the_grace_to_end(supervise):
    running = supervise("stubborn")
    running.wait_for("up")
    running.process.send_signal(signal.SIGINT)
    started = time.monotonic()
    while running.process.poll() is None and time.monotonic() - started < 5:
        running.process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    assert running.process.poll() == 0
    assert living(supervise.mark) == {}


def test_what_a_dead_role_leaves_behind_is_ended(supervise):
    running = supervise("parent")
    running.wait_for("up")
    grandchild = pid_of(supervise, "import stubborn")
    kill(pid_of(supervise, "parent_watch parent"))
    running.wait_for("SIGKILL")
    wait_until(lambda: grandchild not in living(supervise.mark), seconds=5)


def test_after_kill_9_of_the_supervisor_even_the_stubborn_are_gone(supervise):
    running = supervise("stubborn", "quiet", "parent")
    wait_until(lambda: running.output.count("up") == 3, seconds=10)
    kill(running.process.pid)
    running.process.wait()
    wait_until(lambda: not living(supervise.mark), seconds=10)


def test_it_sleeps_while_nothing_happens(supervise):
    running = supervise("quiet")
    running.wait_for("up")

    def wakings():
        status = Path(f"/proc/{running.process.pid}/status").read_text()
        line = next(x for x in status.splitlines() if x.startswith("voluntary"))
        return int(line.split()[1])

    before = wakings()
    time.sleep(1)
    assert wakings() - before <= 1


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "exit code 0"), (3, "exit code 3"), (-9, "SIGKILL"), (-63, "signal 63")],
)
def test_an_end_is_described_by_code_or_signal(code, words):
    assert describe_end(code) == words
