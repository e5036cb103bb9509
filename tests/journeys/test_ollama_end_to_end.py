"""Install, watch, activate, use, unload and remove a model; and who may die meanwhile.

A whole house against a practice Ollama that is a process of its own: what the operator
does by API, and what the terminal says of it.
"""

from __future__ import annotations

import json
import subprocess
import sys

import httpx
import openai
import pytest

from tests.embedded.waiting import wait_until
from tests.practice import PracticeProcess
from tests.running import ROOT, House
from tests.threads import at_once

pytestmark = [pytest.mark.process, pytest.mark.slow]

MODELS = "/api/v1/models"
OPERATIONS = f"{MODELS}/operations"
BYTES_PER_SECOND = 60_000_000
# Each journey has a model of its own: none waits for another one's rows.
SMALL, MIDDLE, SPARE = "gemma3:270m", "gemma3:1b", "qwen3:0.6b"
LAST = "nomic-embed-text:latest"
ENDED = ("completed", "failed", "cancelled")


@pytest.fixture(scope="module")
def registry():
    with PracticeProcess("ollama_registry") as registry:
        yield registry


@pytest.fixture(scope="module")
def ollama():
    options = ("--bytes-per-second", str(BYTES_PER_SECOND), "--models", "phi3:mini")
    with PracticeProcess("ollama", *options) as ollama:
        yield ollama


@pytest.fixture(scope="module")
def house(ollama, registry):
    house = House()
    house.environment |= {
        "OLLAMA_BASE_URL": ollama.url,
        "OLLAMA_REGISTRY_URL": registry.url,
    }
    with house:
        yield house
        assert house.stop() == []


@pytest.fixture(scope="module")
def program(house):
    """A program that may operate, once the first look at Ollama was made."""
    with house.client() as client:
        wait_until(lambda: "online" in states(client), seconds=60, every=0.2)
        yield client


def states(client):
    servers = client.get("/api/v1/system/llm-servers").json()["servers"]
    return [server["status"] for server in servers if server["name"] == "ollama"]


def loaded(client):
    servers = client.get("/api/v1/system/llm-servers").json()["servers"]
    return next(s["loaded"] for s in servers if s["name"] == "ollama")


def install(client, name, **more):
    body = {"provider": "ollama", "name": name, **more}
    answer = client.post(f"{MODELS}/install", json=body)
    assert answer.status_code == 202, answer.text
    return answer.json()["operation_id"]


def operation(client, pk):
    """Its row; None while the web is away."""
    try:
        return client.get(f"{OPERATIONS}/{pk}").json()["operation"]
    except (httpx.HTTPError, ValueError):
        return None


def ended(client, pk, seconds=90):
    """The whole answer about it once it has ended."""
    wait_until(
        lambda: (operation(client, pk) or {}).get("status") in ENDED,
        seconds=seconds,
        every=0.2,
    )
    return client.get(f"{OPERATIONS}/{pk}").json()


def half_way(client, pk):
    """Until a fifth is here: enough to lose."""
    wait_until(
        lambda: (operation(client, pk) or {}).get("progress", 0) > 20,
        seconds=40,
        every=0.05,
    )


def events(client, pk):
    """(name, data) of the operation's stream until it closes."""
    found, name = [], ""
    with client.stream("GET", f"{OPERATIONS}/{pk}/stream", timeout=60) as stream:
        assert stream.status_code == 200
        for line in stream.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((name, json.loads(line.removeprefix("data: "))))
    return found


def installed(client):
    """Name → row, of all that is on the disk."""
    rows = client.get(MODELS).json()["models"]
    return {row["name"]: row for row in rows if row["status"] == "installed"}


def done(client, path, **body):
    """POST it and wait for the end of what it started."""
    answer = client.post(f"{MODELS}/{path}", json=body)
    assert answer.status_code == 202, answer.text
    row = ended(client, answer.json()["operation_id"])["operation"]
    assert row["status"] == "completed", row["error"]
    return row


def ask(house, model):
    words = ("create_api_key", "journey", "--scope", "inference", "--json")
    key = json.loads(house.manage(*words))["key"]
    client = openai.OpenAI(base_url=f"{house.url}/v1", api_key=key, max_retries=0)
    try:
        answer = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Hello"}]
        )
    finally:
        client.close()
    return answer.model, answer.choices[0].message.content


def test_from_installing_to_an_answer_and_back_to_an_empty_place(
    house, program, ollama
):
    pk = install(program, SMALL)
    seen = [data for name, data in events(program, pk) if "bytes_done" in data]

    counts = [row["bytes_done"] for row in seen if row["bytes_done"]]
    assert len(set(counts)) >= 4, "the bytes are seen coming"
    assert counts == sorted(counts), "and never going back"
    assert any(row["speed_bps"] and row["eta_seconds"] for row in seen)
    answer = ended(program, pk)
    assert answer["operation"]["status"] == "completed", answer["operation"]["error"]
    assert answer["operation"]["bytes_done"] == answer["operation"]["bytes_total"]
    row = installed(program)[SMALL]
    [listed] = [
        model
        for model in httpx.get(f"{ollama.url}/api/tags", trust_env=False).json()[
            "models"
        ]
        if model["name"] == SMALL
    ]
    assert row["digest"] == listed["digest"]

    done(program, "activate", name=SMALL, runtime="ollama")
    assert ask(house, "auto")[1]
    wait_until(lambda: loaded(program) == [SMALL], seconds=20, every=0.2)
    done(program, "unload", name=SMALL)
    assert ollama.state()["loaded"] == []
    wait_until(lambda: loaded(program) == [], seconds=20, every=0.2)

    refused = program.post(f"{MODELS}/remove", json={"name": SMALL})
    assert (refused.status_code, refused.json()["code"]) == (409, "model_active")
    done(program, "activate", name="phi3:mini", runtime="ollama")
    done(program, "remove", name=SMALL)
    assert SMALL not in installed(program)
    assert SMALL not in ollama.state()["models"]


def test_two_programs_that_want_the_same_share_one_download(house, program, ollama):
    before = ollama.state()["requests"].get("/api/pull", 0)
    with house.client() as other:
        ids = at_once(install, (program, SPARE), (other, SPARE))

    assert len(set(ids)) == 1
    assert ended(program, ids[0])["operation"]["status"] == "completed"
    assert ollama.state()["requests"]["/api/pull"] == before + 1


def test_a_download_outlives_kill_9_of_its_worker(house, program, ollama):
    before = sum(ollama.state()["fetched_bytes"].values())
    pk = install(program, MIDDLE)
    half_way(program, pk)

    house.kill("worker")

    answer = ended(program, pk)
    row = answer["operation"]
    assert row["status"] == "completed", row["error"]
    assert row["attempts"] == 2
    assert [line["line"] for line in answer["log"]].count("Completed.") == 1
    fetched = sum(ollama.state()["fetched_bytes"].values()) - before
    shared = row["bytes_total"] - fetched  # small layers of the models before it
    assert 0 <= shared < 100_000, "no byte came twice"
    rows = program.get(MODELS).json()["models"]
    assert [model["name"] for model in rows].count(MIDDLE) == 1


def manage(house, *words):
    """A command as a script runs it: exit code, output, and what it said beside it."""
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=house.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_terminal_installs_lists_and_removes(house, program):
    code, told, beside = manage(
        house, "models", "install", "practice-tiny", "--wait", "--json"
    )
    assert (code, json.loads(told)["operation"]["status"]) == (0, "completed"), beside
    assert "%" in beside, "a pipe gets lines"

    listed = json.loads(house.manage("models", "list", "--json"))
    told_too = [row for row in program.get(MODELS).json()["models"] if row["provider"]]
    for row in (*listed["models"], *told_too):  # what is free changes meanwhile
        assert row.pop("fit")["verdict"]
    assert listed["models"] == told_too
    assert "practice-tiny:latest" in house.manage("models", "list")

    code, told, beside = manage(house, "models", "remove", "practice-tiny", "--wait")
    assert code == 0, beside
    assert "practice-tiny:latest" not in house.manage("models", "list")
    code, told, beside = manage(house, "models", "remove", "practice-tiny")
    assert (code, told) == (1, "")
    assert beside.count("\n") == 1, "one sentence"
    assert "not_found" in beside


def test_a_download_outlives_the_end_of_ollama(house, program, ollama):
    """It comes back with an empty folder, as one that pruned its half downloads."""
    pk = install(program, LAST)
    wait_until(
        lambda: (operation(program, pk) or {}).get("bytes_done"), seconds=40, every=0.1
    )

    ollama.kill()
    wait_until(lambda: "online" not in states(program), seconds=30, every=0.2)
    assert operation(program, pk)["status"] not in ENDED
    ollama.start()

    answer = ended(program, pk, seconds=150)
    assert answer["operation"]["status"] == "completed", answer
    assert ollama.state()["requests"]["/api/pull"] >= 1
    assert LAST in installed(program)
