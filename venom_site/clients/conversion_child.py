"""Runs one command and ends its whole group when whoever started us is gone.

Started by `conversion.py` as `python -I conversion_child.py PIPE GRACE COMMAND…`, as
the leader of a session of its own. PIPE is the reading end of a pipe whose other end
only the starter holds: its end means that the starter died, even by kill -9. Plain
standard library.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

NOT_STARTED = 126


def main() -> int:
    pipe, grace = int(sys.argv[1]), float(sys.argv[2])
    os.set_inheritable(pipe, False)
    # A handler and not «ignore»: a command would inherit that one. The signal goes to
    # the whole group, and we stay to tell how the command ended.
    signal.signal(signal.SIGTERM, lambda *_: None)
    threading.Thread(target=_end_with_starter, args=(pipe, grace), daemon=True).start()
    try:
        command = subprocess.Popen(sys.argv[3:], stdin=subprocess.DEVNULL)  # noqa: S603
    except (OSError, ValueError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return NOT_STARTED
    code = command.wait()
    return code if code >= 0 else 128 - code


def _end_with_starter(pipe: int, grace: float) -> None:
    while os.read(pipe, 1):
        pass  # nobody writes; a byte would mean nothing
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 0.0)):
        with suppress(ProcessLookupError):
            os.killpg(os.getpgrp(), number)
        time.sleep(seconds)


if __name__ == "__main__":
    sys.exit(main())
