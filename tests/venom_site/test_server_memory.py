"""A server's processes as one tree: real processes, real sockets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap

import pytest

from venom_site.clients import processes, server_memory

pytestmark = [pytest.mark.process, pytest.mark.slow]

MIB = 1 << 20
# A parent that listens, with a child that holds 48 MiB; both end with their input.
SERVER = textwrap.dedent(
    """
    import socket, subprocess, sys
    child = subprocess.Popen(
        [sys.executable, "-c",
         "import sys; held = bytearray(b'x') * (48 << 20);"
         "print('held', flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    door = socket.create_server(("127.0.0.1", 0))
    print(door.getsockname()[1], child.pid, flush=True)
    sys.stdin.read()
    child.stdin.close()
    child.wait(20)
    """
)


@pytest.fixture
def server():
    """A process that leads a session, its port and its child."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        port, child = process.stdout.readline().split()
        yield process, int(port), int(child)
        process.stdin.close()
        process.wait(20)


def test_a_tree_counts_its_children_and_their_memory(server):
    process, _port, child = server

    tree = server_memory.tree_of(process.pid)

    assert tree.pids == {process.pid, child}
    assert 48 * MIB < tree.memory_bytes < 400 * MIB
    assert tree.started_at.tzinfo is not None


def test_who_listens_is_found_by_the_port_and_nobody_elsewhere(server):
    process, port, _child = server
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        free = taken.getsockname()[1]

        assert server_memory.listener_on("127.0.0.1", port) == process.pid
        assert server_memory.listener_on("localhost", port) == process.pid
        assert server_memory.listener_on("127.0.0.1", free) is None
    assert server_memory.listener_on("192.0.2.1", port) is None
    assert server_memory.listener_on("gpu-box.example", port) is None


def test_a_process_behind_an_identity_is_found_while_it_lives(server):
    process, _port, _child = server
    identity = processes.identity_of("here", process.pid)
    node, machine, pid, started = identity.split("|")
    assert server_memory.living_pid(identity) == process.pid
    assert server_memory.living_pid(f"{node}|other-boot/room|{pid}|{started}") is None
    assert server_memory.living_pid(f"{node}|{machine}|{pid}|1") is None
    assert server_memory.living_pid("nonsense") is None

    process.stdin.close()
    process.wait(20)

    assert server_memory.living_pid(identity) is None
    assert server_memory.tree_of(process.pid) is None


def test_a_process_that_leads_no_session_is_a_tree_too():
    assert os.getpid() in server_memory.tree_of(os.getpid()).pids
