"""Install from Hugging Face: two revisions, a killed worker, and nothing left behind.

`api/install.py` → `services/install.py` ‖ worker: `installing.py` →
`providers/huggingface.py` → `clients/downloads.py` → the folder store; then removal.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.waiting import wait_until
from tests.running import House

pytestmark = [pytest.mark.process, pytest.mark.slow]
pytest_plugins = ("tests.fakes.fixtures",)

INSTALL = "/api/v1/models/install"
OPERATIONS = "/api/v1/models/operations"
PARTIALS = "/api/v1/models/partials"
NAME = "practice/sharded-12m"
SLOW = 1_500_000  # bytes a second: about eight seconds


@pytest.fixture
def house(practice_hub):
    house = House()
    house.environment |= {
        "VENOM_RUNTIME_PROFILE": "full",
        "HF_ENDPOINT": practice_hub.url,
    }
    practice_hub.state.bytes_per_second = SLOW
    with house:
        yield house
        assert house.stop() == []


@pytest.fixture
def client(house):
    with house.client() as client:
        yield client


def told(client, pk):
    return client.get(f"{OPERATIONS}/{pk}").json()["operation"]


def begun(client, **more):
    """The id of an install whose first bytes have come."""
    wish = {"provider": "huggingface", "name": NAME, **more}
    answer = client.post(INSTALL, json=wish)
    assert answer.status_code == 202, answer.text
    pk = answer.json()["operation_id"]
    wait_until(lambda: (told(client, pk)["bytes_done"] or 0) > 1_000_000, seconds=60)
    return pk


def ended(client, pk):
    wait_until(lambda: told(client, pk)["completed_at"], seconds=120)
    return told(client, pk)


def versions(client):
    answer = client.get(f"/api/v1/models/{NAME}/versions").json()
    return [each["revision"] for each in answer["versions"]]


def removed(client, revision):
    wish = {"name": NAME, "revision": revision}
    answer = client.post("/api/v1/models/remove", json=wish)
    assert answer.status_code == 202, answer.text
    assert ended(client, answer.json()["operation_id"])["status"] == "completed"


def bytes_asked(request):
    """Of the bytes themselves; what leads there by a redirect sends none. What left
    the server says nothing: the kernel takes it for a client that is gone."""
    first, _, last = request.range.removeprefix("bytes=").partition("-")
    if not request.is_signed:
        return 0
    assert first, f"{request.path} was begun anew"
    return int(last) - int(first) + 1


def files_in(house):
    root = Path(house.folder) / "models" / "hf"
    return [path for path in root.rglob("*") if path.is_file()]


def test_a_killed_worker_costs_no_bytes_and_two_revisions_leave_no_trace(
    house, client, practice_hub
):
    state = practice_hub.state
    old = state.shelf.find(NAME).commit
    pk = begun(client)

    house.kill("worker")
    asked_before = len(state.desk.asked)
    [lying] = client.get(PARTIALS).json()["partials"]
    assert lying["bytes_done"] > 500_000
    state.bytes_per_second = 0
    first = ended(client, pk)

    assert (first["status"], first["attempts"]) == ("completed", 2), first
    assert first["bytes_done"] == first["bytes_total"]
    again = sum(map(bytes_asked, state.desk.asked[asked_before:]))
    left = first["bytes_total"] - lying["bytes_done"]
    assert 0 < again < left + 0.02 * first["bytes_total"]
    assert client.get(PARTIALS).json()["partials"] == []

    new = state.shelf.publish(NAME, {"generation_config.json": b"{}"})
    answer = client.post(INSTALL, json={"provider": "hf", "name": NAME})
    assert ended(client, answer.json()["operation_id"])["status"] == "completed"
    assert versions(client) == [new, old]
    listed = client.get("/api/v1/models").json()["models"]
    assert [each["revision"] for each in listed] == [new]

    ambiguous = client.post("/api/v1/models/remove", json={"name": NAME})
    assert ambiguous.json()["code"] == "several_revisions"
    removed(client, old)
    removed(client, new[:12])

    assert files_in(house) == []
    usage = client.get("/api/v1/models/usage").json()["usage"]
    assert usage["disk_usage_gb"] == 0


def test_a_cancelled_install_is_discarded_to_the_last_byte(house, client):
    pk = begun(client)

    client.post(f"{OPERATIONS}/{pk}/cancel")
    assert ended(client, pk)["status"] == "cancelled"
    [kept] = client.get(PARTIALS).json()["partials"]
    assert kept["bytes_done"] > 500_000
    assert client.delete(PARTIALS).json()["discarded"] == [pk]

    assert files_in(house) == []


def test_the_command_installs_and_says_how_it_ended(house, practice_hub):
    practice_hub.state.bytes_per_second = 0
    commit = practice_hub.state.shelf.find(NAME).commit

    words = ("install", NAME, "--provider", "huggingface", "--revision", "main")
    said = house.manage("models", *words, "--wait")

    assert "completed" in said
    assert commit[:7] in str(files_in(house)[0])
    assert NAME in house.manage("models", "list")
    house.manage("models", "remove", NAME, "--wait")
    assert files_in(house) == []
