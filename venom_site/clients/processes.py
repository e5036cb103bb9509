"""Processes of this machine: who am I, is that one still there.

Later also systemd units and servers of our own. Never finds a process by its name,
and never compares wall-clock times: psutil's boot time moves when the clock is set.
"""

from __future__ import annotations

import contextlib
from functools import lru_cache
from pathlib import Path

import psutil

PROC = Path("/proc")


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
    process = psutil.Process()
    return f"{node}|{_machine()}|{process.pid}|{_started(process)}"


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
