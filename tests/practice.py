"""A practice neighbour as a process of its own, which a journey stops and starts.

Unlike the fixtures' threads it dies as the real one does, and comes back on its port
with nothing in memory. Ends only what it started.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any, Self

import httpx

from tests.running import ROOT

STATE = "/__practice__/state"


class PracticeProcess:
    """`with PracticeProcess("ollama", "--bytes-per-second", "9e7") as ollama: …`."""

    def __init__(self, program: str, *options: str) -> None:
        self._program = program
        self._options = options
        self._child: subprocess.Popen[str] | None = None
        self.url = "http://127.0.0.1:0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Listen; after the first time on the same port again."""
        port = self.url.rpartition(":")[2]
        self._child = subprocess.Popen(
            [
                *(sys.executable, "-m", f"tests.fakes.{self._program}"),
                *("--port", port, *self._options),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        assert self._child.stdout is not None
        said = self._child.stdout.readline()
        assert "listening on" in said, f"{self._program} did not start: {said!r}"
        self.url = said.split()[-1]

    def kill(self) -> None:
        """kill -9; its open answers are cut. Does nothing when it is gone."""
        if self._child is not None:
            self._child.kill()
            self._child.wait(10)
            assert self._child.stdout is not None
            self._child.stdout.close()
            self._child = None

    def state(self) -> dict[str, Any]:
        """What it says of itself."""
        answer = httpx.get(self.url + STATE, trust_env=False)
        found: dict[str, Any] = answer.json()
        return found
