"""«A long operation survives the death of worker, beat, web and supervisor.»"""

from __future__ import annotations

import subprocess
import sys
import time

import httpx
import pytest

from tests.running import House

pytestmark = [pytest.mark.process, pytest.mark.slow]

PROBES = "/api/v1/models/operations"


@pytest.fixture
def house():
    with House() as house:
        yield house
        assert house.stop() == []


def ended(client, pk, seconds=90):
    """The answer about an operation once it has ended; the web may be away."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            answer = client.get(f"{PROBES}/{pk}").json()
        except (httpx.HTTPError, ValueError):
            answer = None
        if answer and answer["operation"]["completed_at"]:
            return answer
        time.sleep(0.2)
    raise AssertionError(f"it did not end: {answer}")


def begun(client, pk, seconds=30):
    deadline = time.monotonic() + seconds
    while client.get(f"{PROBES}/{pk}").json()["operation"]["progress"] == 0:
        assert time.monotonic() < deadline, "it never began"
        time.sleep(0.1)


def test_a_probe_ends_exactly_once_whoever_is_killed(house):
    client = house.client()
    for victim in ("worker", "beat", "uvicorn", "supervisor"):
        body = {"seconds": 4}
        pk = client.post(f"{PROBES}/probe", json=body).json()["operation_id"]
        begun(client, pk)

        house.kill(victim)

        answer = ended(client, pk)
        lines = [line["line"] for line in answer["log"]]
        assert answer["operation"]["status"] == "completed", victim
        assert lines.count("Completed.") == 1, victim
        # A worker that loses its supervisor drains, and that is no attempt.
        attempts = 2 if victim == "worker" else 1
        assert answer["operation"]["attempts"] == attempts, (victim, lines)
    client.close()


def test_a_stop_in_the_middle_is_not_an_attempt(house):
    client = house.client()
    body = {"seconds": 4}
    pk = client.post(f"{PROBES}/probe", json=body).json()["operation_id"]
    begun(client, pk)

    assert house.stop() == []
    house.start()

    answer = ended(client, pk)
    assert answer["operation"]["status"] == "completed"
    assert answer["operation"]["attempts"] == 1
    assert [line["line"] for line in answer["log"]].count("Completed.") == 1
    client.close()


def killed_at_random(*words):
    """The last lines of `bench.kills`; a fault is its exit code."""
    command = [sys.executable, "-m", "bench.kills", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return done.stdout


def test_a_short_sample_of_random_kills_loses_nothing():
    told = killed_at_random("--kills", "6", "--operations", "6", "--seconds", "2")

    assert "lost 0, doubled 0, overlaps 0, orphans 0" in told


@pytest.mark.deep
def test_two_hundred_random_kills_lose_nothing():
    told = killed_at_random("--kills", "200", "--operations", "100")

    assert "lost 0, doubled 0, overlaps 0, orphans 0" in told
