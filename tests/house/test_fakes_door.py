"""The practice Ollama is set from outside, and outlives its own process on a file."""

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
DOOR = "/__practice__"
MODEL = "qwen3:0.6b"


@pytest.fixture
def http(practice_ollama):
    with httpx.Client(base_url=practice_ollama.url, timeout=10) as http:
        yield http


def test_settings_change_while_it_runs(http, practice_ollama):
    wish = {"bytes_per_second": 5_000_000, "vram_bytes": None, "max_queue": 1}
    told = http.post(f"{DOOR}/settings", json=wish).json()
    assert told["bytes_per_second"] == 5_000_000
    assert practice_ollama.state.max_queue == 1


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"models": 3}, "Unknown setting 'models'; known are tokens_per_second"),
        ({"max_queue": "many"}, "'many' for max_queue is no number."),
        ([], "The body must be a JSON object."),
    ],
)
def test_a_setting_nobody_has_is_refused_with_a_sentence(http, wish, reason):
    answer = http.post(f"{DOOR}/settings", json=wish)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(reason)


def test_what_can_be_pulled_changes_for_ollama_and_registry_at_once(
    http, practice_registry
):
    wish = {"add": ["new:1b"], "remove": ["phi3:mini"], "publish": [MODEL]}
    before = httpx.get(f"{practice_registry.url}/v2/library/qwen3/manifests/0.6b")
    offered = http.post(f"{DOOR}/library", json=wish).json()["models"]
    assert "new:1b" in offered
    assert "phi3:mini" not in offered
    assert httpx.get(f"{practice_registry.url}{DOOR}/library").json()["models"] == (
        offered
    )
    after = httpx.get(f"{practice_registry.url}/v2/library/qwen3/manifests/0.6b")
    assert after.content != before.content
    refused = http.post(f"{DOOR}/library", json={"publish": ["nobody:1b"]})
    assert refused.json() == {"error": "Nothing called 'nobody:1b' is offered."}


def test_the_door_shows_halves_fetched_bytes_and_what_is_loaded(http):
    http.post("/api/pull", json={"model": MODEL})
    http.post("/api/generate", json={"model": MODEL})
    seen = http.get(f"{DOOR}/state").json()
    assert seen["partials"] == {}
    assert max(seen["fetched_bytes"].values()) > 500_000_000
    assert (seen["loaded"], seen["loads"]) == ([MODEL], {MODEL: 1})


@contextmanager
def by_hand(*options):
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.ollama", "--port", "0", *options],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        with httpx.Client(base_url=program.stdout.readline().split()[-1]) as http:
            yield http
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == 0
    finally:
        program.kill()
        program.wait()
        program.stdout.close()


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize(("version", "goes_on"), [("0.33.0", True), ("0.16.3", False)])
def test_with_a_file_models_and_halves_outlive_the_process(tmp_path, version, goes_on):
    disk = ("--disk", tmp_path / "disk.json", "--version", version)
    with by_hand(*disk, "--bytes-per-second", "20000000") as http:
        http.request("DELETE", "/api/delete", json={"model": "phi3:mini"})
        with http.stream("POST", "/api/pull", json={"model": MODEL}):
            wait_until(lambda: http.get(f"{DOOR}/state").json()["partials"])
    with by_hand(*disk) as http:
        seen = http.get(f"{DOOR}/state").json()
        assert seen["models"] == ["gemma3:4b"]
        assert bool(seen["partials"]) == goes_on
        http.post("/api/pull", json={"model": MODEL})
        assert MODEL in http.get("/api/tags").text
