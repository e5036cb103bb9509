"""Processes of this machine: who am I, is that one still there.

Never finds a process by its name, and never compares wall-clock times: psutil's boot
time moves when the clock is set. Servers of ours and all that belongs to them:
`process_trees.py` and `server_processes.py`.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import psutil

PROC = Path("/proc")


class Known(NamedTuple):
    """A process that an identity names; `started` tells it from a later one with the
    same number (clock ticks since boot)."""

    pid: int
    started: str


@lru_cache(maxsize=1)
def _machine() -> str:
    """Boot id and pid namespace: inside both, a pid and its start are unique."""
    boot, namespace = f"{psutil.boot_time():.0f}", ""
    with contextlib.suppress(OSError):
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = str((PROC / "self/ns/pid").readlink())
    return f"{boot}/{namespace}"


def _started(process: psutil.Process) -> str:
    """When it started: clock ticks since boot, where `/proc` tells them."""
    with contextlib.suppress(FileNotFoundError):
        stat = (PROC / str(process.pid) / "stat").read_text()
        return stat.rpartition(")")[2].split()[19]  # field 22, see proc(5)
    return f"{process.create_time():.0f}"


def identity(node: str) -> str:
    """`node|machine|pid|start`, computed at call time (a fork changes the pid)."""
    return identity_of(node, psutil.Process().pid)


def identity_of(node: str, pid: int) -> str:
    """The identity of another process of this machine; empty when it is not there."""
    try:
        return f"{node}|{_machine()}|{pid}|{_started(psutil.Process(pid))}"
    except (psutil.Error, OSError):
        return ""


def noted_identity(node: str, text: str) -> str:
    """The identity that `venom_site.launch` noted (`machine|pid|start`); empty when the
    text is no such note."""
    worker = f"{node}|{text.strip()}"
    return worker if node and _parts(worker) else ""


def node_of(worker: str) -> str:
    parts = _parts(worker)
    return parts[0] if parts else ""


def known(worker: str) -> Known | None:
    """Which process of this machine and this boot it names, alive or not; None when it
    is another machine's, or no identity."""
    parts = _parts(worker)
    if parts is None or parts[1] != _machine():
        return None
    return Known(int(parts[2]), parts[3])


def _parts(worker: str) -> list[str] | None:
    parts = worker.rsplit("|", 3)
    if len(parts) != 4 or not all(parts) or not parts[2].isdecimal():
        return None
    return parts


def is_gone(worker: str) -> bool:
    """Whether the process behind an `identity()` of this machine certainly ended.

    False for another machine's or container's: that one cannot be seen from here. A
    zombie and a reused pid count as gone.
    """
    try:
        _, machine, pid, started = worker.rsplit("|", 3)
        if machine != _machine():
            return False
        process = psutil.Process(int(pid))
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        return _started(process) != started
    except (psutil.NoSuchProcess, ProcessLookupError):
        return True
    except (ValueError, OSError, psutil.Error):
        return False


def gone_within(seconds: float, workers: Iterable[str]) -> set[str]:
    """Which of them are gone; waits so long for the first one to end.

    The kernel wakes us at its end; where there are no such descriptors (macOS, a
    sandbox) it is seen when the time is over.
    """
    watched = frozenset(workers)
    with contextlib.ExitStack() as held:
        ends = select.poll()
        for pid in filter(None, map(known, watched)):
            with contextlib.suppress(AttributeError, OSError):
                descriptor = os.pidfd_open(pid.pid)
                held.callback(os.close, descriptor)
                ends.register(descriptor, select.POLLIN)
        # After opening: who ended before is gone, who ends now wakes us.
        if not (gone := set(filter(is_gone, watched))):
            ends.poll(seconds * 1000)
            gone = set(filter(is_gone, watched))
    return gone
