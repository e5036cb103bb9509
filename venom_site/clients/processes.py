"""Processes of this machine, through psutil: who am I, is that one still there.

Later also systemd units and servers of our own. Never finds a process by its name.
"""

from __future__ import annotations

import contextlib
from functools import lru_cache
from pathlib import Path

import psutil


@lru_cache(maxsize=1)
def _machine() -> str:
    """Boot time and pid namespace: inside both, a pid and its start time are unique."""
    namespace = ""
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return f"{psutil.boot_time():.0f}/{namespace}"


def identity(node: str) -> str:
    """`node|machine|pid|start`, computed at call time (a fork changes the pid)."""
    process = psutil.Process()
    return f"{node}|{_machine()}|{process.pid}|{process.create_time():.2f}"


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
        return abs(process.create_time() - float(started)) > 1
    except psutil.NoSuchProcess:
        return True
    except (ValueError, psutil.Error):
        return False
