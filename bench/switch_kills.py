"""Random kills while models are switched between servers: is it ever left in between?

    python -m bench.switch_kills [--kills 200] [--seed N]

Starts `manage.py up` in a folder of its own beside a practice Ollama; the practice vLLM
is started by the product itself. Each round asks for a switch, kills a process of ours
or the server at a random moment, and waits until things are settled: the operation has
ended, what the database calls active is what its server lists, and no server runs but
that one. Exits with 1 unless lost, inconsistent and orphans are all zero.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shlex
import socket
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx
import psutil

from bench.kills import use_database_of
from tests.fakes.ollama import build_ollama, make_state
from tests.fakes.server import PracticeServer
from tests.fakes.tiny_model import tiny_files
from tests.running import House

WEIGHTS = {"worker": 6, "server": 3, "uvicorn": 1, "beat": 1}
MODELS = ("one-1b", "two-1b")
OLLAMA_MODEL = "gemma3:4b"
LONGEST_PAUSE_SECONDS = 4.0
SETTLED_SECONDS = 120
PROGRAM = shlex.join([sys.executable, "-m", "tests.fakes.vllm_serve", "serve"])


def make_shelf(folder: Path) -> None:
    """Two whole models for vLLM, in a folder that the product only reads."""
    for name in MODELS:
        (folder / name).mkdir(parents=True)
        for path, content in tiny_files().items():
            (folder / name / path).write_bytes(content)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(shelf: Path, ollama: str) -> dict[str, str]:
    return {
        "VENOM_RUNTIME_PROFILE": "full",
        "OLLAMA_BASE_URL": ollama,
        "VLLM_ENDPOINT": f"http://127.0.0.1:{free_port()}/v1",
        "VLLM_COMMAND": PROGRAM,
        "VLLM_SYSTEMD_UNIT": "venom-practice-absent.service",
        "OLLAMA_SYSTEMD_UNIT": "venom-practice-absent.service",
        "VLLM_START_TIMEOUT_SECONDS": "30",
        "VENOM_STOP_GRACE_SECONDS": "3",
        "MODELS_SCAN_DIRS": str(shelf),
        "PRACTICE_VLLM": '{"start_seconds": 0.5}',
    }


class Rounds:
    """The kills and what was found after each."""

    def __init__(self, house: House, client: httpx.Client) -> None:
        self.house, self.client = house, client
        self.done: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.faults: Counter[str] = Counter(lost=0, inconsistent=0, orphans=0)

    def play(self) -> None:
        operation = self._ask()
        time.sleep(random.uniform(0, LONGEST_PAUSE_SECONDS))
        victim = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        self._kill(victim)
        self.done[victim] += 1
        status = self._await_end(operation) if operation else "refused"
        self.ended[status] += 1
        self._judge(status)

    def _ask(self) -> str:
        runtime = random.choice(("ollama", "vllm", "vllm"))
        name = OLLAMA_MODEL if runtime == "ollama" else random.choice(MODELS)
        answer = self._call(
            "POST", "/api/v1/models/activate", {"name": name, "runtime": runtime}
        )
        return str(answer.get("operation_id", ""))

    def _kill(self, victim: str) -> None:
        if victim != "server":
            self.house.kill(victim)
            return
        for process in servers_of(self.house):
            with contextlib.suppress(psutil.Error):
                if "vllm_serve" in " ".join(process.cmdline()):
                    process.kill()

    def _call(
        self, method: str, path: str, body: dict[str, str] | None = None
    ) -> dict[str, object]:
        """An answer; the web process may just have been killed."""
        ends = time.monotonic() + SETTLED_SECONDS
        while time.monotonic() < ends:
            with contextlib.suppress(httpx.HTTPError, ValueError):
                found: dict[str, object] = self.client.request(
                    method, path, json=body
                ).json()
                return found
            time.sleep(0.3)
        raise AssertionError("the web did not come back")

    def _await_end(self, operation: str) -> str:
        ends = time.monotonic() + SETTLED_SECONDS
        while time.monotonic() < ends:
            told = self._call("GET", f"/api/v1/models/operations/{operation}")
            row = told.get("operation")
            if isinstance(row, dict) and row["completed_at"]:
                return str(row["status"])
            time.sleep(0.3)
        return "lost"

    def _judge(self, status: str) -> None:
        if status == "lost":
            self.faults["lost"] += 1
        ends = time.monotonic() + SETTLED_SECONDS
        wrong = "inconsistent"
        while wrong and time.monotonic() < ends:
            wrong = what_is_wrong(self.house)
            time.sleep(0.3)
        if wrong:
            self.faults["orphans" if wrong == "orphans" else "inconsistent"] += 1
            print(f"\n{wrong}")


def what_is_wrong(house: House) -> str:
    """Empty when database and processes say the same."""
    from django.db import connection

    from runtime_app.models import Activation, Runtime
    from runtime_app.runtimes.registry import adapter_for
    from venom_site.lib.errors import WireError

    connection.close()
    active = Activation.objects.active().select_related("runtime__node").first()
    row = Runtime.objects.get(name="vllm")
    running = servers_of(house)
    parents = [p for p in running if "vllm_serve" in _words_of(p)]
    if row.pid is None and running:
        return "orphans"
    if len(parents) > 1 or any(p.pid != row.pid for p in parents):
        return "orphans"
    if active is None:
        return ""
    try:
        listed = [entry["name"] for entry in adapter_for(active.runtime).list_models()]
    except WireError as error:
        return f"inconsistent: {active} is active, but {error}"
    if active.served_name not in listed:
        return f"inconsistent: {active} is active, its server lists {listed}"
    return ""


def servers_of(house: House) -> list[psutil.Process]:
    """Every process of the practice vLLM that this house has left running."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            is_ours = process.environ().get("VENOM_DATA_DIR") == house.folder
            if is_ours and "vllm_" in _words_of(process):
                found.append(process)
    return found


def _words_of(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        if process.status() != psutil.STATUS_ZOMBIE:
            return " ".join(process.cmdline())
    return ""


def await_models(client: httpx.Client) -> None:
    """Until the house has found what lies on the shelf, and Ollama."""
    ends = time.monotonic() + SETTLED_SECONDS
    while time.monotonic() < ends:
        models = client.get("/api/v1/models").json()["models"]
        if {*MODELS, OLLAMA_MODEL} <= {model["name"] for model in models}:
            return
        time.sleep(0.5)
    raise AssertionError("the models were not found")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None)
    wishes = parser.parse_args()
    random.seed(wishes.seed)
    ollama = PracticeServer(build_ollama, make_state((OLLAMA_MODEL,)))
    ollama.start()
    with tempfile.TemporaryDirectory(prefix="venom-shelf-") as shelf:
        make_shelf(Path(shelf))
        house = House()
        house.environment |= environment(Path(shelf), ollama.url)
        faults = _run(house, wishes.kills)
    ollama.stop()
    return 1 if any(faults.values()) else 0


def _run(house: House, kills: int) -> Counter[str]:
    began = time.monotonic()
    with house:
        os.environ.update(house.environment)
        use_database_of(house)
        with house.client() as client:
            await_models(client)
            rounds = Rounds(house, client)
            for number in range(kills):
                rounds.play()
                print(f"\r{number + 1} kills {dict(rounds.ended)} ", end="", flush=True)
        faults = rounds.faults
        faults["orphans"] += len(house.stop()) + len(servers_of(house))
        print(f"\n{time.monotonic() - began:.0f} s, {dict(rounds.done)}")
        print(", ".join(f"{name} {count}" for name, count in faults.items()))
        if any(faults.values()):
            print(house.log.read_text()[-6000:])
    return faults


if __name__ == "__main__":
    sys.exit(main())
