"""Ends a child of the supervisor when the supervisor is gone, even by kill -9.

The supervisor starts each role as `python -m venom_site.embedded.parent_watch MODULE
ARGS…`, which calls `watch()` and then runs the module; a role may call `watch()`
itself as well. The sign is the end of a pipe whose other end only the supervisor
holds. Plain standard library; must never end a process that has no such pipe.
"""

from __future__ import annotations

import os
import runpy
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress

PIPE_VARIABLE = "VENOM_PARENT_PIPE"
GRACE_SECONDS = 8.0
# Waits for the leader of a group to end, then ends what is left of the group.
REAPER = """
import os, sys, time
leader, deadline = int(sys.argv[1]), time.monotonic() + float(sys.argv[2])
try:
    while time.monotonic() < deadline:
        os.kill(leader, 0)
        time.sleep(0.05)
except ProcessLookupError:
    pass
try:
    os.killpg(leader, 9)
except (ProcessLookupError, PermissionError):
    pass
"""


def watch(grace_seconds: float = GRACE_SECONDS) -> bool:
    """Starts the watching thread; False when nobody asked for it."""
    # Taken out of the environment: a grandchild has the number but not the pipe.
    number = os.environ.pop(PIPE_VARIABLE, "")
    if not number.isdigit() or not _is_pipe(int(number)):
        return False
    os.set_inheritable(int(number), False)
    threading.Thread(
        target=_wait_for_the_end,
        args=(int(number), grace_seconds),
        name="parent-watch",
        daemon=True,
    ).start()
    return True


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _wait_for_the_end(descriptor: int, grace_seconds: float) -> None:
    while os.read(descriptor, 1):
        pass  # nobody writes; a byte would mean nothing
    own = os.getpid()
    if os.getpgrp() == own:
        _start_reaper(own, grace_seconds)
    os.kill(own, signal.SIGTERM)
    time.sleep(grace_seconds)
    os.kill(own, signal.SIGKILL)


def _start_reaper(group: int, grace_seconds: float) -> None:
    # Not `atexit`: a process that SIGTERM ends the plain way never gets there, and
    # what it leaves in its group would live on.
    argv = [sys.executable, "-IS", "-c", REAPER, str(group), str(grace_seconds)]
    with suppress(OSError):
        subprocess.Popen(argv, start_new_session=True)  # noqa: S603 - ourselves


def main() -> None:
    """Runs the module named by the first argument under the watch."""
    watch()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
