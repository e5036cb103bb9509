"""The «EngineCore» of the practice vLLM: holds memory and waits.

    python -I -S vllm_engine.py MEGABYTES DEATH_SECONDS STAYS DEAF

It ends with its parent, whose pipe is its stdin, unless it STAYS, as the real one was
seen to. DEAF is how many SIGTERMs it overhears; -1 is all. Standard library only.
"""

import os
import signal
import sys
import threading
import time
from contextlib import suppress


def main() -> None:
    megabytes, dies_after = int(sys.argv[1]), float(sys.argv[2])
    stays, deaf = sys.argv[3] == "1", int(sys.argv[4])
    overheard = 0

    def on_term(*_: object) -> None:
        nonlocal overheard
        overheard += 1
        if deaf >= 0 and overheard > deaf:
            os._exit(0)

    signal.signal(signal.SIGTERM, on_term)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):  # no room in its log ends no engine
        print(f"(EngineCore pid={os.getpid()}) INFO Initializing an engine", flush=True)
    held = b"\1" * (megabytes * 2**20)
    if dies_after:
        threading.Timer(dies_after, os._exit, (1,)).start()
    while os.read(0, 1):
        pass
    while stays:
        time.sleep(3600)
    del held


if __name__ == "__main__":
    main()
