"""The end of a server's process is noticed by itself, without a check."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from runtime_app.monitoring.process_watch import ProcessWatch
from venom_site.clients import processes

pytestmark = pytest.mark.process


@pytest.fixture
def child():
    """(process, identity) of one that lives until it reads something."""
    words = [sys.executable, "-S", "-c", "input()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        yield process, processes.identity_of("test-node", process.pid)
        process.kill()


def without_descriptors(monkeypatch):
    monkeypatch.setattr(os, "pidfd_open", lambda pid: os.open("/nothing", os.O_RDONLY))


@pytest.mark.parametrize("is_told_by_kernel", [True, False])
def test_an_end_is_noticed_while_it_is_waited_for(
    child, monkeypatch, is_told_by_kernel
):
    process, identity = child
    if not is_told_by_kernel:
        without_descriptors(monkeypatch)
    assert processes.gone_within(0.01, [identity]) == set()
    threading.Timer(0.2, process.kill).start()

    gone = set()
    while not gone:
        gone = processes.gone_within(0.5, [identity, "elsewhere|machine|17|5"])

    assert gone == {identity}


def test_the_kernel_wakes_who_waits(child):
    """A watch that looked twice a second told pages half a second late."""
    process, identity = child
    threading.Timer(0.2, process.kill).start()

    assert processes.gone_within(3600, [identity]) == {identity}


def test_one_that_ended_before_is_told_at_once(child):
    process, identity = child
    process.communicate(b"x", timeout=20)

    assert processes.gone_within(3600, [identity]) == {identity}


def test_a_watch_calls_once_for_each_end(child):
    process, identity = child
    told = threading.Event()
    watch = ProcessWatch(told.set)
    watch.look_after([identity])

    assert not told.wait(0.1)
    process.communicate(b"x", timeout=20)

    assert told.wait(20)
