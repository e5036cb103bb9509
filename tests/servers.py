"""Servers as real processes in tests: the practice vLLM, started as the product does.

Whatever a test starts is ended with it, also when the test fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from runtime_app.runtimes.control import Launch
from tests.fakes.vllm_tricks import VARIABLE
from tests.fakes.waiting import wait_until

ROOT = Path(__file__).resolve().parents[1]
VLLM = (sys.executable, "-m", "tests.fakes.vllm_serve", "serve")
START_SECONDS = 40  # beside four other test processes


def free_port() -> int:
    """A port that nobody holds just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def vllm_launch(port: int, *more: str, alias: str = "practice-7b", **tricks) -> Launch:
    """What starts the practice vLLM there, playing these tricks."""
    words = ("practice/model", "--served-model-name", alias, "--port", str(port))
    return Launch(
        argv=(*VLLM, *words, *more),
        environment={VARIABLE: json.dumps(tricks)},
        model="practice/model",
        served_name=alias,
    )


def answers(port: int) -> bool:
    """Whether `/health` there is 200."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return answer.status == 200
    except (URLError, OSError):
        return False


def wait_for_health(port: int) -> None:
    wait_until(lambda: answers(port), seconds=START_SECONDS)


def session_of(pid: int) -> list[int]:
    """The living processes of that session, zombies not among them."""
    return [other for other in psutil.pids() if _session(other) == pid]


def _session(pid: int) -> int:
    with contextlib.suppress(psutil.Error, OSError):
        if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            return os.getsid(pid)
    return 0


def end_session(pid: int) -> None:
    """By force, for a test that leaves somebody behind."""
    for other in session_of(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(other, signal.SIGKILL)
    wait_until(lambda: not session_of(pid), seconds=20)
