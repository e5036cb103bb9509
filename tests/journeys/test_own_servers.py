"""A house that runs a vLLM of its own: started, killed, brought back, gone with it."""

from __future__ import annotations

import os
import shlex
import signal
import sys

import pytest

from tests.fakes.waiting import wait_until
from tests.models_app.model_folders import model_folder
from tests.running import House
from tests.servers import free_port, session_of

pytestmark = [pytest.mark.process, pytest.mark.slow]

SERVERS = "/api/v1/system/llm-servers"
PROGRAM = shlex.join([sys.executable, "-m", "tests.fakes.vllm_serve", "serve"])


@pytest.fixture
def house(tmp_path):
    model_folder(tmp_path / "models" / "acme" / "practice-7b")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("VENOM_RUNTIME_PROFILE", "full")
        environment.setenv("VLLM_COMMAND", PROGRAM)
        environment.setenv("VLLM_ENDPOINT", f"http://127.0.0.1:{free_port()}/v1")
        environment.setenv("VLLM_SYSTEMD_UNIT", "venom-practice-absent.service")
        environment.setenv("MODELS_SCAN_DIRS", str(tmp_path / "models"))
        with House() as running:
            yield running


def server(program) -> dict:
    rows = program.get(SERVERS).json()["servers"]
    return next(row for row in rows if row["name"] == "vllm")


@pytest.fixture
def program(house):
    with house.client() as client:
        yield client


def name_of(program) -> str:
    """As the scan has registered it; empty before."""
    models = program.get("/api/v1/models").json()["models"]
    names = (model["name"] for model in models)
    return next((name for name in names if name.endswith("practice-7b")), "")


def test_a_server_of_ours_survives_the_worker_and_ends_with_the_house(house, program):
    wait_until(lambda: name_of(program), seconds=60)

    wish = {"model": name_of(program), "wait_seconds": 60}
    answer = program.post(f"{SERVERS}/vllm/start", json=wish, timeout=90).json()
    assert answer["operation"]["status"] == "completed", answer
    first = server(program)
    assert (first["status"], first["managed_by"]) == ("online", "process")

    house.kill("worker")
    house.process("worker")
    assert server(program)["pid"] == first["pid"]

    os.kill(first["pid"], signal.SIGKILL)
    wait_until(lambda: server(program)["pid"] not in {None, first["pid"]}, seconds=60)
    wait_until(lambda: server(program)["status"] == "online", seconds=60)
    second = server(program)["pid"]
    assert session_of(first["pid"]) == []

    assert house.stop() == []
    assert session_of(second) == []
