"""Ends a child of the supervisor when the supervisor is gone, even by kill -9.

The supervisor starts each role as `python -m venom_site.embedded.parent_watch MODULE
ARGS…`, which calls `watch()` and then runs the module; a role may call `watch()`
itself as well. The sign is the end of a pipe whose other end only the supervisor
holds. Plain standard library; must never end a process that has no such pipe.
"""

from __future__ import annotations

import atexit
import os
import runpy
import signal
import stat
import sys
import threading
import time

PIPE_VARIABLE = "VENOM_PARENT_PIPE"
GRACE_SECONDS = 8.0


def watch(grace_seconds: float = GRACE_SECONDS) -> bool:
    """Starts the watching thread; False when nobody asked for it."""
    # Taken out of the environment: a grandchild has the number but not the pipe.
    number = os.environ.pop(PIPE_VARIABLE, "")
    if not number.isdigit() or not _is_pipe(int(number)):
        return False
    os.set_inheritable(int(number), False)
    ended = threading.Event()
    # Registered first, hence run last, after everything else has said goodbye.
    atexit.register(lambda: _kill_group() if ended.is_set() else None)
    threading.Thread(
        target=_wait_for_the_end,
        args=(int(number), ended, grace_seconds),
        name="parent-watch",
        daemon=True,
    ).start()
    return True


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _wait_for_the_end(
    descriptor: int, ended: threading.Event, grace_seconds: float
) -> None:
    while os.read(descriptor, 1):
        pass  # nobody writes; a byte would mean nothing
    ended.set()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_seconds)
    _kill_group()


def _kill_group() -> None:
    """Kills this process and, where it leads a group, what it left behind in there."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Runs the module named by the first argument under the watch."""
    watch()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
