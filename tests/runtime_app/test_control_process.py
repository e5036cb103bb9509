"""A server as a process of ours: started, looked at, stopped, never a stranger's."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest
from django.test import override_settings

from runtime_app.choices import ManagedBy
from runtime_app.runtimes import launch_files
from runtime_app.runtimes.control import Launch, ServerControl
from runtime_app.runtimes.control_process import (
    CommandMissing,
    PortTaken,
    ProcessControl,
    StillThere,
)
from tests import servers
from tests.fakes.vllm_tricks import CAUSES
from tests.fakes.waiting import wait_until
from venom_site.clients import ports, processes, server_processes
from venom_site.lib.errors import WireError

pytestmark = [pytest.mark.process, pytest.mark.slow]
LISTENER = (
    "import socket, sys, time;"
    "s = socket.create_server(('127.0.0.1', int(sys.argv[1])));"
    "print('up', flush=True); time.sleep(600)"
)


@pytest.fixture
def port():
    return servers.free_port()


@pytest.fixture
def control(tmp_path, port, monkeypatch):
    """control(…) → a control of the server `vllm`; what it starts ends with it."""
    started, real = [], server_processes.start

    def start(*more, **options):
        identity = real(*more, **options)
        started.append(processes.known(identity).pid)
        return identity

    def make(identity="", **more) -> ProcessControl:
        given = {"name": "vllm", "port": port, "node": "n", "command": servers.VLLM}
        return ProcessControl(identity=identity, **(given | more))

    monkeypatch.setattr(server_processes, "start", start)
    with override_settings(DATA_DIR=tmp_path):
        yield make
    for pid in started:
        servers.end_session(pid)


@pytest.fixture
def stranger(port):
    """Somebody else's server on our port."""
    words = [sys.executable, "-S", "-c", LISTENER, str(port), "--token=abcdefgh123"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        yield process
        assert process.poll() is None, "nobody may end a stranger's process"
        process.kill()


def plain_launch(port):
    """A server that only listens; it is up in no time."""
    words = (sys.executable, "-S", "-c", LISTENER, str(port))
    return Launch(argv=words, environment={})


def stop(control, grace=20.0):
    control.stop(grace_seconds=grace, check=lambda: None)


def wait_for_state(control, state):
    wait_until(lambda: control.look().state == state, seconds=servers.START_SECONDS)


def test_a_server_starts_runs_and_stops(control, port, tmp_path):
    server: ServerControl = control(secrets={"HF_TOKEN": "hf_secretsecret"})
    assert server.managed_by == ManagedBy.PROCESS
    assert server.supports == {"start"}
    assert server.look().state == "stopped"
    launch = servers.vllm_launch(port, memory_mb=32, start_seconds=0.5)

    seen = server.start(launch)
    assert (seen.state, seen.pid) == ("starting", processes.known(seen.identity).pid)
    again = server.start(launch)  # a start may be repeated
    wait_for_state(server, "running")

    seen = server.look()
    assert again.identity == seen.identity
    assert seen.memory_bytes > 32 * 2**20
    assert seen.started_at is not None
    assert seen.holder is None
    assert server.supports == {"stop", "restart"}
    file = tmp_path / "runtimes" / "vllm.json"
    assert json.loads(file.read_text())["served_name"] == "practice-7b"
    assert "secretsecret" not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600

    stop(server)
    assert server.look().state == "stopped"
    assert servers.session_of(seen.pid) == []
    assert not servers.answers(port)
    stop(server)  # nothing to stop is no error
    assert list((tmp_path / "runtimes").iterdir()) == [file]


def test_it_outlives_its_starter_and_is_found_again(control, port, tmp_path):
    """By the row's identity, and by the launcher's note when the worker died before it
    wrote the row."""
    seen = control().start(plain_launch(port))
    server_processes._children.clear()
    wait_until((tmp_path / "runtimes" / "vllm.process").exists, seconds=20)

    assert control(seen.identity).look().identity == seen.identity
    assert control("").look().identity == seen.identity
    older = seen.identity.replace(f"|{seen.pid}|", "|4194303|")
    assert control(older).look().identity == seen.identity
    wait_for_state(control(), "running")

    stop(control())
    assert control().look().state == "stopped"


def test_a_crash_keeps_its_code_and_its_cause(control, port):
    server = control()
    server.start(servers.vllm_launch(port, fail="bad_weights"))

    wait_for_state(server, "crashed")

    assert server.look().exit_code == 1
    assert server.cause() == CAUSES["bad_weights"]
    assert server.look().pid is None
    assert server.supports == {"start"}
    assert "Failed core proc(s)" in server.tail(2)[0]


def test_an_engine_that_died_ends_it_with_0_and_that_is_a_crash(control, port):
    server = control()
    server.start(servers.vllm_launch(port, engine_dies_after=0.2))

    wait_for_state(server, "crashed")

    assert server.look().exit_code == 0
    assert server.cause() == "RuntimeError: The engine of the practice vLLM died."


def test_a_killed_parent_is_a_crash_that_still_holds_memory(control, port):
    """The port is closed and the parent gone; the engine has the memory."""
    server = control()
    launch = servers.vllm_launch(port, leave_engine=True, memory_mb=32)
    seen = server.start(launch)
    servers.wait_for_health(port)
    os.kill(seen.pid, signal.SIGKILL)
    wait_for_state(server, "crashed")

    assert server.look().memory_bytes > 32 * 2**20
    assert server.look().holder is None
    assert "stop" in server.supports
    with pytest.raises(StillThere, match="Stop the server first"):
        server.start(launch)
    assert "SIGKILL" in server.cause()

    stop(server)
    assert servers.session_of(seen.pid) == []
    assert server.look().state == "stopped"


def test_one_that_serves_as_if_no_stop_was_asked_is_asked_again(control, port):
    server = control()
    seen = server.start(
        servers.vllm_launch(port, lose_sigterm="serve", start_seconds=1)
    )
    wait_until(
        lambda: "Initializing" in str(server.tail(9)), seconds=servers.START_SECONDS
    )

    stop(server, grace=30)

    assert servers.session_of(seen.pid) == []


def test_a_stranger_on_the_port_is_named_and_never_touched(control, port, stranger):
    server = control()

    seen = server.look()
    with pytest.raises(PortTaken) as refused:
        server.start(plain_launch(port))

    assert (seen.state, seen.holder.pid) == ("stopped", stranger.pid)
    assert refused.value.holder == seen.holder
    assert f"Port {port} is held by pid {stranger.pid}, user " in str(refused.value)
    assert "give this server another port" in str(refused.value)
    assert "abcdefgh" not in str(refused.value)
    assert not launch_files.launch_file("vllm").exists()
    stop(server)


def test_a_stranger_who_came_while_ours_was_down_outlives_our_stop(control, port):
    server = control()
    launch = servers.vllm_launch(port, leave_engine=True)
    seen = server.start(launch)
    servers.wait_for_health(port)
    os.kill(seen.pid, signal.SIGKILL)
    wait_for_state(server, "crashed")
    with socket.create_server(("127.0.0.1", port)):
        assert server.look().holder.pid == os.getpid()

        stop(server)

    assert servers.session_of(seen.pid) == []


def test_a_port_that_stays_held_after_the_stop_is_told(control, port, monkeypatch):
    """By a process that left the session unseen, for example."""
    server = control()
    server.start(plain_launch(port))
    wait_for_state(server, "running")
    taken = []

    def stop_and_take(*more, **options):
        left = real(*more, **options)
        taken.append(socket.create_server(("127.0.0.1", port)))
        return left

    real = server_processes.stop
    monkeypatch.setattr(server_processes, "stop", stop_and_take)
    with pytest.raises(StillThere, match=f"port {port} is still held by pid"):
        stop(server)
    taken[0].close()


def test_the_port_of_one_that_is_just_dying_is_no_stranger_s(
    control, port, monkeypatch
):
    """“All processes of vllm have ended, and port … is still held by a process that
    cannot be seen from here”: its socket closes a moment after its open files."""
    server = control()
    monkeypatch.setattr(ports, "_inodes_of", lambda pid: set())
    with socket.create_server(("127.0.0.1", port)) as dying:
        assert server.look().holder is None
        threading.Timer(0.3, dying.close).start()

        stop(server)

        assert not servers.answers(port)
    server.start(plain_launch(port))


def test_what_survives_sigkill_is_named(control, port, monkeypatch):
    """It cannot be made here: a process that waits for a device."""
    server = control()
    seen = server.start(servers.vllm_launch(port, ignore_sigterm=True))
    monkeypatch.setattr(server_processes, "KILL_SECONDS", 0.2)
    with monkeypatch.context() as patched:
        patched.setattr(server_processes, "_tell", lambda *_: None)
        with pytest.raises(StillThere, match=f"pid {seen.pid} .*end it by hand"):
            stop(server, grace=0.1)

    stop(server, grace=0.1)
    assert server.look().state == "stopped"


@pytest.mark.parametrize("command", ["no-such-program-at-all", "./no/such", "/tmp"])
def test_a_command_that_is_not_there_is_a_sentence(control, command):
    server = control(command=(command,))

    assert server.supports == frozenset()
    with pytest.raises(CommandMissing, match="there is no such program") as refused:
        server.start(Launch(argv=(command, "serve"), environment={}))

    assert refused.value.permanent
    assert server.look().state == "stopped"


def test_no_command_at_all_can_nothing(control):
    assert control(command=()).supports == frozenset()
    with pytest.raises(CommandMissing):
        control().start(Launch(argv=(), environment={}))


def test_a_folder_that_takes_no_file_is_a_sentence(control, port, tmp_path):
    (tmp_path / "runtimes").write_text("no folder")
    with pytest.raises(WireError, match=r"launch file .* could not be written"):
        control().start(plain_launch(port))


def test_a_log_that_cannot_be_written_does_not_keep_it_from_serving(
    control, port, tmp_path
):
    (tmp_path / "logs").write_text("no folder")
    server = control()
    server.start(plain_launch(port))
    wait_for_state(server, "running")
    assert (server.tail(5), server.log_paths(), server.cause()) == ([], [], "")
    stop(server)
    assert "vllm.log takes no line: File exists. Make room" in server.cause()


def test_each_start_has_a_log_of_its_own(control, port):
    server = control()
    for word in ("first", "second"):
        words = (sys.executable, "-c", f"print('{word}')")
        server.start(Launch(argv=words, environment={}))
        wait_for_state(server, "crashed")

    now, before = server.log_paths()

    assert server.tail(5) == ["second"]
    assert before.read_text() == "first\n"
    assert now.name == "vllm.log"
    assert server.cause() == "It ended with exit code 0 and said nothing."


@pytest.mark.parametrize(
    ("identity", "state"),
    [
        ("", "stopped"),
        ("n|another-boot/pid:[1]|17|5", "crashed"),  # the machine started anew
        ("elsewhere|machine|17|5", "unknown"),
        ("nonsense", "stopped"),
    ],
)
def test_what_cannot_be_seen_has_a_state_all_the_same(control, identity, state):
    seen = control(identity, port=None).look()
    assert (seen.state, seen.pid, seen.holder) == (state, None, None)
    stop(control(identity, port=None))


def test_a_broken_note_is_no_note(control, tmp_path):
    (tmp_path / "runtimes").mkdir()
    for raw in (b"", b"\xff\xfe", b"a|b|c", b"|||", b"x|-5|3"):
        (tmp_path / "runtimes" / "vllm.process").write_bytes(raw)
        assert control().look().state == "stopped"
    (tmp_path / "runtimes" / "vllm.process").unlink()


def test_the_launch_file_is_whole_or_the_old_one(control, tmp_path, monkeypatch):
    control()
    launch = Launch(argv=("a", "ä b"), environment={"A": "1"}, model="/m")
    launch_files.write("vllm", launch)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(WireError, match="No space left on device"):
        launch_files.write("vllm", Launch(argv=("b",), environment={}))

    [file] = (tmp_path / "runtimes").iterdir()
    assert json.loads(file.read_text())["argv"] == ["a", "ä b"]
