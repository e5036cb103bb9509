"""What a switch adds to what the servers need themselves.

    python -m bench.switch_adds [--rounds 10] [--start-seconds 3]

Starts `manage.py up` in a folder of its own; the practice vLLM is started by the
product and needs a known time. Each round switches from Ollama to vLLM and back, and
says how long the operation took and how much of that the server needed: to vLLM, from
the start of its process to its first `/health` with 200 and its proof by one token; to
Ollama, the proof there and the end of the vLLM process. The target is 1 s.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from bench.push import tell
from bench.switch_kills import (
    MODELS,
    OLLAMA_MODEL,
    PROGRAM,
    await_models,
    environment,
    free_port,
    make_shelf,
)
from tests.fakes.ollama import build_ollama, make_state
from tests.fakes.server import PracticeServer
from tests.running import ROOT, House

TARGET_SECONDS = 1.0
LONGEST_SECONDS = 120
LOOK_SECONDS = 0.01
OPERATIONS = "/api/v1/models/operations"


def alone(shelf: Path, start_seconds: float) -> tuple[float, float]:
    """The server without us: seconds from its start to its first token, and from
    SIGTERM to its end."""
    port = free_port()
    words = [str(shelf / MODELS[0]), "--served-model-name", "a", "--port", str(port)]
    tricks = f'{{"start_seconds": {start_seconds}}}'
    program = [sys.executable, *PROGRAM.split()[1:], *words]
    began = time.perf_counter()
    with subprocess.Popen(
        program,
        cwd=ROOT,
        env={**os.environ, "PRACTICE_VLLM": tricks},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        _await_token(f"http://127.0.0.1:{port}")
        up = time.perf_counter() - began
        began = time.perf_counter()
        server.send_signal(signal.SIGTERM)
        server.wait(LONGEST_SECONDS)
        return up, time.perf_counter() - began


def _await_token(url: str) -> None:
    body = {
        "model": "a",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    ends = time.monotonic() + LONGEST_SECONDS
    with httpx.Client(base_url=url, trust_env=False) as client:
        while time.monotonic() < ends:
            with contextlib.suppress(httpx.HTTPError):
                if client.post("/v1/chat/completions", json=body).is_success:
                    return
            time.sleep(LOOK_SECONDS)
    raise SystemExit("the practice vLLM did not answer")


def switch(client: httpx.Client, runtime: str, name: str) -> float:
    """Seconds from the question to the end of the operation, by its own times."""
    wish = {"name": name, "runtime": runtime}
    answer = client.post("/api/v1/models/activate", json=wish).json()
    row = _await_end(client, answer["operation_id"])
    if row["status"] != "completed":
        raise SystemExit(f"the switch failed: {row['error']}")
    return _moment(row["completed_at"]) - _moment(row["created_at"])


def _await_end(client: httpx.Client, operation: str) -> dict[str, Any]:
    ends = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < ends:
        row: dict[str, Any] = client.get(f"{OPERATIONS}/{operation}").json()
        row = row["operation"]
        if row["completed_at"]:
            return row
        time.sleep(0.05)
    raise SystemExit("the switch did not end")


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--start-seconds", type=float, default=3.0)
    wishes = parser.parse_args()
    ollama = PracticeServer(build_ollama, make_state((OLLAMA_MODEL,)))
    ollama.start()
    with tempfile.TemporaryDirectory(prefix="venom-shelf-") as shelf:
        make_shelf(Path(shelf))
        house = House()
        house.environment |= environment(Path(shelf), ollama.url)
        tricks = f'{{"start_seconds": {wishes.start_seconds}}}'
        house.environment["PRACTICE_VLLM"] = tricks
        with house, house.client() as client:
            await_models(client)
            switch(client, "ollama", OLLAMA_MODEL)
            added = _rounds(client, Path(shelf), wishes.rounds, wishes.start_seconds)
    ollama.stop()
    worst = [tell(f"added by a switch to {to}", times) for to, times in added.items()]
    return 0 if max(worst) < TARGET_SECONDS else 1


def _rounds(
    client: httpx.Client, shelf: Path, number: int, start_seconds: float
) -> dict[str, list[float]]:
    """The server alone and the switch in turn, so that both see the same load."""
    added: dict[str, list[float]] = {"vllm": [], "ollama": []}
    for done in range(number):
        up, down = alone(shelf, start_seconds)
        there = switch(client, "vllm", MODELS[0])
        back = switch(client, "ollama", OLLAMA_MODEL)
        added["vllm"].append(there - up)
        added["ollama"].append(back - down)
        print(
            f"{done + 1}: to vLLM {there:.2f} s, alone {up:.2f} s; "
            f"back {back:.2f} s, stop alone {down:.2f} s",
            flush=True,
        )
    return added


if __name__ == "__main__":
    sys.exit(main())
