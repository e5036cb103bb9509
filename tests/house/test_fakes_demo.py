"""The demo's neighbours start as one program and leave with whoever started them."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.fakes.waiting import wait_until

pytest_plugins = ("tests.fakes.fixtures",)
CHECKOUT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.process, pytest.mark.slow]


@contextmanager
def running(*command, **options):
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_ports_file_leads_to_every_neighbour_and_goes_with_them(tmp_path):
    ports = tmp_path / "run" / "demo.json"
    with running("tests.fakes.demo", "--ports-file", ports) as demo:
        wait_until(ports.exists, seconds=20)
        addresses = json.loads(ports.read_text())
        tags = httpx.get(f"{addresses['OLLAMA_BASE_URL']}/api/tags").json()["models"]
        assert len(tags) == 3
        registry = addresses["OLLAMA_REGISTRY_URL"]
        gemma = httpx.get(f"{registry}/v2/library/gemma3/manifests/4b")
        assert gemma.json()["schemaVersion"] == 2
        hub = httpx.get(f"{addresses['HF_ENDPOINT']}/api/models?limit=1").json()
        assert hub[0]["id"] == "practice/tiny-llama"
        name, url = addresses["VENOM_OPENAI_COMPATIBLE_SERVERS"].split("=")
        assert name == "practice"
        assert len(httpx.get(f"{url}/models").json()["data"]) == 1
        assert addresses["VLLM_ENDPOINT"].endswith("/v1")
        assert "tests.fakes.vllm_serve" in addresses["VLLM_COMMAND"]
        assert "<rss" in httpx.get(addresses["NEWS_BLOG_FEED_URL"]).text
        assert httpx.get(addresses["NEWS_PAPERS_URL"]).status_code == 200
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(5) == 0
    assert list(ports.parent.iterdir()) == []


def test_neighbours_come_back_where_they_were(tmp_path):
    ports = tmp_path / "demo.json"
    seen = []
    for _ in range(2):
        with running("tests.fakes.demo", "--ports-file", ports) as demo:
            wait_until(ports.exists, seconds=20)
            seen.append(json.loads(ports.read_text()))
            demo.send_signal(signal.SIGTERM)
            assert demo.wait(5) == 0
    assert seen[0] == seen[1]


def test_the_demo_leaves_when_its_parent_is_gone(tmp_path):
    ports = tmp_path / "demo.json"
    theirs, ours = os.pipe()
    with running(
        *("tests.fakes.demo", "--ports-file", ports),
        env={**os.environ, "VENOM_PARENT_PIPE": str(theirs)},
        pass_fds=(theirs,),
    ) as demo:
        os.close(theirs)
        wait_until(ports.exists, seconds=20)
        os.close(ours)
        assert demo.wait(5) == 0
    assert not ports.exists()


def test_a_taken_port_is_told_in_a_sentence(practice_ollama, tmp_path):
    port = practice_ollama.url.rpartition(":")[2]
    options = ("--ports-file", tmp_path / "demo.json", "--ollama-port", port)
    with running("tests.fakes.demo", *options, stderr=subprocess.PIPE) as demo:
        said = demo.communicate(timeout=20)[1]
    assert (demo.returncode, list(tmp_path.iterdir())) == (1, [])
    assert said == f"Cannot listen on 127.0.0.1:{port}: Address already in use.\n"


def test_a_parent_pipe_that_is_none_is_refused_with_a_sentence(tmp_path):
    with running(
        *("tests.fakes.demo", "--ports-file", tmp_path / "demo.json"),
        env={**os.environ, "VENOM_PARENT_PIPE": "nonsense"},
        stderr=subprocess.PIPE,
    ) as demo:
        said = demo.communicate(timeout=20)[1]
    assert demo.returncode == 1
    assert "VENOM_PARENT_PIPE='nonsense' is not an open file descriptor." in said


@pytest.mark.parametrize(
    ("module", "models"),
    [("tests.fakes.ollama", "gemma3:4b"), ("tests.fakes.openai_compatible", "one,two")],
)
def test_each_neighbour_runs_by_hand_and_says_where(module, models):
    with running(module, "--port", "0", "--models", models) as neighbour:
        url = neighbour.stdout.readline().split()[-1]
        listed = httpx.get(f"{url}/v1/models").json()["data"]
        assert [row["id"] for row in listed] == models.split(",")
        neighbour.send_signal(signal.SIGTERM)
        assert neighbour.wait(5) == 0
