"""Who listens on a port: its process, its user, and whether it is ours."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from ipaddress import ip_address

import pytest

from tests.fakes.waiting import wait_until
from venom_site.clients import ports

pytestmark = pytest.mark.process
LISTENER = (
    "import socket, sys, time; s = socket.create_server(('{host}', 0));"
    "print(s.getsockname()[1], flush=True); time.sleep(600)"
)


@pytest.fixture
def listener():
    """listener(host) → (process, port)."""
    started = []

    def start(host="127.0.0.1", *more):
        words = [sys.executable, "-S", "-c", LISTENER.format(host=host), *more]
        process = subprocess.Popen(words, stdout=subprocess.PIPE)
        started.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "127.0.0.2"])
def test_a_foreign_listener_is_named_and_its_secrets_are_not(listener, host):
    process, port = listener(host, "--api-key=sk-abcdefgh12345678")

    [found] = ports.look(port).foreign

    assert found.pid == process.pid
    assert found.user
    assert found.command.startswith(sys.executable)
    assert "abcdefgh" not in found.command
    assert not ports.look(port).is_ours


def test_our_own_is_no_foreigner(listener):
    process, port = listener()

    assert ports.look(port, ours=[process.pid]) == ports.PortSeen(is_ours=True)


def test_nobody_listens_where_a_port_is_only_bound_or_connected(listener):
    _, port = listener()
    with socket.socket() as bound, socket.create_connection(("127.0.0.1", port)) as out:
        bound.bind(("127.0.0.1", 0))
        assert ports.look(bound.getsockname()[1]) == ports.PortSeen()
        assert ports.look(out.getsockname()[1]) == ports.PortSeen()


def test_a_port_is_free_once_its_process_is_gone(listener):
    process, port = listener()
    process.kill()
    process.wait(20)
    wait_until(lambda: ports.look(port) == ports.PortSeen(), seconds=20)


@pytest.fixture
def nobody_seen(monkeypatch):
    """No open files can be read: another user's process, or one that is dying."""
    monkeypatch.setattr(ports, "_inodes_of", lambda pid: set())
    monkeypatch.setattr(ports, "HELD_ON_SECONDS", 0.5)


def test_a_process_that_cannot_be_seen_is_somebody_once_it_has_held_on(
    listener, nobody_seen
):
    """“Process unknown of root holds the port” for a second after each kill -9: files
    of another user's process are hidden, and those of a dying one are closed before
    its socket is."""
    _, port = listener()
    seen = ports.look(port, ours=[os.getpid()])
    assert (len(seen.fleeting), seen.foreign, seen.is_ours) == (1, (), False)

    seen = ports.look_settled(port, ours=[os.getpid()])

    [found] = seen.foreign
    assert (found.pid, found.command, seen.fleeting) == (None, "", ())
    assert found.user
    assert ports.look(port) == seen, "once known it is known at once"


def test_one_that_is_dying_was_never_a_stranger(listener, nobody_seen):
    process, port = listener()
    assert ports.look(port).fleeting
    process.kill()

    assert ports.look_settled(port) == ports.PortSeen()


def test_a_server_of_another_user_hides_and_its_end_takes_a_moment_too(
    listener, nobody_seen
):
    _, port = listener()
    looks = [ports.look(port, may_hide=True) for _ in range(2)]
    wait_until(lambda: ports.look_settled(port).foreign)
    looks.append(ports.look(port, may_hide=True))

    assert [(len(each.fleeting), each.foreign) for each in looks] == [(1, ())] * 3
    assert ports.look(port).foreign == (), "it ended just now"


def test_without_the_kernel_s_table_it_is_asked_process_by_process(
    listener, monkeypatch, tmp_path
):
    process, port = listener()
    monkeypatch.setattr(ports, "PROC", tmp_path)

    [found] = ports.look(port).foreign
    assert found.pid == process.pid
    assert ports.look(port, ours=[process.pid]).is_ours
    monkeypatch.setattr(ports, "_holds", lambda pid, port: False)
    hidden = ports.look_settled(port).foreign
    assert hidden == (ports.Listener(pid=None, user="", command=""),)


@pytest.mark.parametrize(
    ("text", "address", "in_the_way"),
    [
        ("0100007F", "127.0.0.1", True),
        ("00000000", "0.0.0.0", True),
        ("0A01A8C0", "192.168.1.10", False),
        ("00000000000000000000000001000000", "::1", True),
        ("00000000000000000000000000000000", "::", True),
        ("0000000000000000FFFF00000100007F", "::ffff:127.0.0.1", True),
    ],
)
@pytest.mark.skipif(sys.byteorder != "little", reason="the texts are little-endian")
def test_addresses_are_read_as_the_kernel_writes_them(text, address, in_the_way):
    assert ports._address(text) == ip_address(address)
    assert ports._is_in_the_way(ip_address(address)) is in_the_way
