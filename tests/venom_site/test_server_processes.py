"""Servers of ours: all that belongs to one is found, ended and proved gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests import servers
from tests.fakes.waiting import wait_until
from venom_site.clients import process_trees, processes, server_processes
from venom_site.clients.processes import Known
from venom_site.lib.errors import WireError

pytestmark = [pytest.mark.process, pytest.mark.slow]
SLEEPER = "import time; time.sleep(600)"
# Two children, the second of which opens a process group of its own.
DEAF = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('up', flush=True); time.sleep(600)"
)
FAMILY = f"""
import subprocess, sys, time
for group in (None, 0):
    subprocess.Popen([sys.executable, "-S", "-c", {SLEEPER!r}], process_group=group)
print("up", flush=True)
time.sleep(600)
"""


@pytest.fixture
def start(tmp_path):
    """start(code, **environment) → the identity of a Python that runs it."""
    started = []

    def start(code, argv=None, environment=None, secrets=None):
        file = tmp_path / "server.json"
        words = argv or [sys.executable, "-S", "-c", code]
        launch = {"argv": words, "environment": environment or {}, "model": ""}
        file.write_text(json.dumps(launch))
        identity = server_processes.start(
            file,
            node="test-node",
            folder=servers.ROOT,
            log=tmp_path / "server.log",
            note=tmp_path / "server.process",
            secrets=secrets,
        )
        started.append(processes.known(identity).pid)
        return identity

    yield start
    for pid in started:
        servers.end_session(pid)


def stop(identity, grace=20.0, **more):
    return server_processes.stop(
        identity, grace_seconds=grace, check=lambda: None, **more
    )


def said(tmp_path):
    log = tmp_path / "server.log"
    return log.read_text() if log.exists() else ""


def wait_for(tmp_path, text):
    wait_until(lambda: text in said(tmp_path), seconds=servers.START_SECONDS)


def look(identity):
    tree = server_processes.look(identity)
    assert tree is not None
    return tree


def test_a_server_leads_its_own_session_and_is_found_by_its_identity(start, tmp_path):
    identity = start(FAMILY)
    wait_for(tmp_path, "up")

    tree = look(identity)

    assert tree.leader_lives
    assert tree.count == 3
    assert tree.pid == os.getsid(tree.pid) == os.getpgid(tree.pid)
    assert tree.pid != os.getsid(0)
    assert tree.memory_bytes > 3_000_000
    assert abs(tree.started_at.timestamp() - time.time()) < 120
    noted = (tmp_path / "server.process").read_text()
    assert processes.noted_identity("test-node", noted) == identity
    assert not processes.is_gone(identity)


def test_all_of_it_ends_also_who_changed_its_group(start, tmp_path):
    identity = start(FAMILY)
    wait_for(tmp_path, "up")
    leader = look(identity).pid

    assert stop(identity) == []

    assert servers.session_of(leader) == []
    assert look(identity).rows == ()
    assert look(identity).exit_code == -signal.SIGTERM
    assert processes.is_gone(identity)


def test_without_the_kernel_s_help_it_is_the_same(start, tmp_path, monkeypatch):
    """macOS has no /proc; a sandbox may refuse descriptors of processes."""

    def refuse(pid):
        raise PermissionError(1, "Operation not permitted")

    identity = start(FAMILY)
    wait_for(tmp_path, "up")
    leader = look(identity).pid
    monkeypatch.setattr(process_trees, "PROC", tmp_path / "none")
    monkeypatch.setattr(os, "pidfd_open", refuse)

    assert look(identity).count == 3
    assert look(identity).memory_bytes > 3_000_000
    assert process_trees.row_of(leader).session == leader
    assert stop(identity) == []
    assert servers.session_of(leader) == []


def test_its_environment_is_the_file_s_and_holds_nothing_of_ours(
    start, tmp_path, monkeypatch
):
    for name in ("VENOM_SECRET_KEY", "VLLM_PORT", "HF_TOKEN_FILE", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "ours")
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    code = "import os, json; print(json.dumps(dict(os.environ)), flush=True)"

    identity = start(code, environment={"A": "ä b"}, secrets={"HF_TOKEN": "hf_new"})

    wait_for(tmp_path, "\n")
    seen = json.loads(said(tmp_path))
    assert (seen["A"], seen["CUDA_VISIBLE_DEVICES"]) == ("ä b", "1")
    assert seen["HF_TOKEN"] == "hf_new"
    assert "ours" not in seen.values()
    assert "hf_new" not in (tmp_path / "server.json").read_text()
    wait_until(lambda: look(identity).exit_code == 0, seconds=20)


def test_it_makes_no_core_dumps_and_reads_nothing(start, tmp_path):
    start(
        "import resource, sys;"
        "print(resource.getrlimit(resource.RLIMIT_CORE), repr(sys.stdin.read()))"
    )
    wait_for(tmp_path, "(0, 0) ''")


def test_a_child_that_ended_is_reaped_and_its_code_is_kept(start):
    identity = start("raise SystemExit(3)")

    wait_until(lambda: look(identity).exit_code is not None, seconds=20)

    assert look(identity).exit_code == 3
    assert not psutil.pid_exists(look(identity).pid)


def test_the_engine_that_a_killed_parent_left_is_found_and_ended(start, tmp_path):
    """vLLM 0.32: SIGKILL of the parent leaves EngineCore with all the memory, and the
    port is closed, so that it looks stopped."""
    port = servers.free_port()
    launch = servers.vllm_launch(port, leave_engine=True, memory_mb=64)
    identity = start("", argv=list(launch.argv), environment=launch.environment)
    servers.wait_for_health(port)
    assert look(identity).memory_bytes > 64 * 2**20
    leader = look(identity).pid
    os.kill(leader, signal.SIGKILL)
    wait_until(lambda: not look(identity).leader_lives, seconds=20)

    left = look(identity)

    assert left.count == 1
    assert left.memory_bytes > 64 * 2**20
    assert not servers.answers(port)
    assert stop(identity) == []
    assert servers.session_of(leader) == []


def test_a_signal_that_was_lost_while_it_starts_is_repeated(start, tmp_path):
    port = servers.free_port()
    launch = servers.vllm_launch(port, lose_sigterm="hang", start_seconds=60)
    identity = start("", argv=list(launch.argv), environment=launch.environment)
    wait_for(tmp_path, "Initializing an engine")

    assert stop(identity, grace=30, again_seconds=0.5) == []

    assert look(identity).exit_code == -signal.SIGTERM  # and not SIGKILL
    assert not look(identity).rows


def test_who_ignores_the_signal_is_killed_after_the_time_of_grace(start, tmp_path):
    identity = start(DEAF)
    wait_for(tmp_path, "up")

    assert stop(identity, grace=0.5) == []

    assert look(identity).exit_code == -signal.SIGKILL


def test_children_that_open_a_session_of_their_own_end_too(start, tmp_path):
    identity = start(
        "import subprocess, sys, time;"
        f"child = subprocess.Popen([sys.executable, '-S', '-c', {SLEEPER!r}],"
        "    start_new_session=True); print(child.pid, flush=True); time.sleep(600)"
    )
    wait_for(tmp_path, "\n")
    daemon = int(said(tmp_path))

    assert stop(identity) == []

    assert process_trees.row_of(daemon) is None or process_trees.row_of(daemon).is_gone


def test_a_stop_can_be_broken_off_and_repeated(start, tmp_path):
    identity = start(DEAF)
    wait_for(tmp_path, "up")

    def check():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        server_processes.stop(identity, grace_seconds=5, check=check)

    assert stop(identity, grace=0.2) == []
    assert stop(identity) == []


@pytest.fixture
def stranger():
    """A process of somebody else, in its own session."""
    words = [sys.executable, "-S", "-c", SLEEPER]
    with subprocess.Popen(words, start_new_session=True) as process:
        yield process
        process.kill()


def test_a_number_given_anew_is_not_touched(stranger):
    """The row names a process whose number another has by now."""
    node, machine, pid, started = processes.identity_of("n", stranger.pid).split("|")
    older = f"{node}|{machine}|{pid}|{int(started) - 1}"

    assert look(older).rows == ()
    assert stop(older, grace=1) == []
    server_processes._tell(Known(stranger.pid, "1"), signal.SIGKILL)

    assert stranger.poll() is None
    assert processes.is_gone(older)


def test_what_a_stranger_with_our_number_left_is_not_touched(tmp_path):
    """Leader and session number are somebody else's, and that leader has died: what is
    left began after ours and has the number of its session, but not the mark."""
    code = (
        "import subprocess, sys;"
        f"print(subprocess.Popen([sys.executable, '-S', '-c', {SLEEPER!r}]).pid)"
    )
    words = [sys.executable, "-S", "-c", code]
    with (tmp_path / "out").open("wb") as out:
        leader = subprocess.Popen(words, start_new_session=True, stdout=out)
        leader.wait(20)
    left = int((tmp_path / "out").read_text())
    try:
        ours = f"n|{processes._machine()}|{leader.pid}|1"

        assert os.getsid(left) == leader.pid
        assert stop(ours, grace=1) == []
        assert psutil.pid_exists(left)
    finally:
        servers.end_session(leader.pid)


@pytest.mark.parametrize("identity", ["", "nonsense", "n|other/boot|1|5", "n|x|-1|5"])
def test_what_this_machine_cannot_know_is_left_alone(identity):
    assert server_processes.look(identity) is None
    assert stop(identity, grace=0.5) == []


def test_no_process_to_be_had_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(WireError, match="No process could be started"):
        server_processes.start(
            tmp_path / "a.json",
            node="n",
            folder=tmp_path,
            log=tmp_path / "log",
            note=tmp_path / "note",
        )


def test_secrets_in_a_command_line_are_masked(start, tmp_path):
    identity = start(
        "",
        argv=[
            *(sys.executable, "-S", "-c", SLEEPER),
            *("--api-key=sk-verysecret123456", "x"),
        ],
    )
    wait_until(
        lambda: "--api" in server_processes.command_of(look(identity).pid), seconds=20
    )
    assert "verysecret" not in server_processes.command_of(look(identity).pid)


def test_memory_that_is_shared_counts_once(start, tmp_path):
    """64 MB mapped from a file by two processes are 64 MB."""
    big = tmp_path / "weights"
    with big.open("wb") as file:
        file.truncate(64 * 2**20)
    code = (
        "import mmap, os, time\n"
        f"file = os.open({str(big)!r}, os.O_RDONLY)\n"
        "held = mmap.mmap(file, 0, prot=mmap.PROT_READ)\n"
        "os.fork()\n"
        "sum(held[at] for at in range(0, len(held), 4096))\n"
        "print('up', flush=True); time.sleep(600)"
    )
    identity = start(code)
    wait_until(lambda: said(tmp_path).count("up") == 2, seconds=30)

    assert 64 * 2**20 < look(identity).memory_bytes < 110 * 2**20
