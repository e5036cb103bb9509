"""Install a model: from the call to the answer, whoever falls over on the way.

`api/install.py` → `services/install.py` ‖ worker: `tasks.py` → `installing.py` →
`providers/<provider>.py` → `clients/<vendor>.py`; then the activation that follows.
"""

from __future__ import annotations

import pytest

from models_app import tasks
from models_app.models import InstalledModel, Operation
from models_app.providers import registry as providers
from runtime_app import tasks as runtime_tasks
from runtime_app.runtimes import registry as runtimes
from runtime_app.services import seeding
from tests.fakes.waiting import wait_until
from tests.running import House

pytestmark = pytest.mark.django_db(transaction=True)
pytest_plugins = ("tests.fakes.fixtures",)

INSTALL = "/api/v1/models/install"
OPERATIONS = "/api/v1/models/operations"
ACTIVE = "/api/v1/system/llm-servers/active"
NAME = "gemma3:270m"
BYTES = 291_554_930


@pytest.fixture
def first_start(practice_ollama, practice_registry, settings):
    """An installation that was just started beside an Ollama."""
    fresh = settings.ENV.model_dump() | {
        "OLLAMA_BASE_URL": practice_ollama.url,
        "OLLAMA_REGISTRY_URL": practice_registry.url,
    }
    settings.ENV = type(settings.ENV).model_validate(fresh)
    seeding.ensure_runtimes()
    runtime_tasks.check_health()
    yield practice_ollama
    providers.close_all()
    runtimes.close_all()


def test_from_the_call_to_the_active_model(first_start, api_client):
    program = api_client("operate")
    wish = {"provider": "ollama", "model": NAME, "activate": "now"}

    answer = program.post(INSTALL, wish, content_type="application/json")
    assert answer.status_code == 202, answer.json()
    pk = answer.json()["operation_id"]
    tasks.run_install(pk)

    told = program.get(f"{OPERATIONS}/{pk}").json()["operation"]
    assert (told["status"], told["progress"]) == ("completed", 100)
    assert told["bytes_done"] == told["bytes_total"] == BYTES
    assert InstalledModel.objects.get(name=NAME).status == "installed"

    follow_up = Operation.objects.get(parent_id=pk)
    runtime_tasks.run_activation(str(follow_up.pk))
    follow_up.refresh_from_db()
    assert (follow_up.status, follow_up.error) == ("completed", "")
    assert program.get(ACTIVE).json()["active_model"] == NAME


# With real processes


@pytest.fixture
def house(practice_ollama, practice_registry):
    house = House()
    house.environment |= {
        "OLLAMA_BASE_URL": practice_ollama.url,
        "OLLAMA_REGISTRY_URL": practice_registry.url,
    }
    practice_ollama.state.bytes_per_second = 60_000_000  # about five seconds
    with house:
        yield house
        assert house.stop() == []


def told(client, pk):
    return client.get(f"{OPERATIONS}/{pk}").json()


def begun(client):
    """The id of an install whose first bytes have come."""
    answer = client.post(INSTALL, json={"provider": "ollama", "name": NAME})
    assert answer.status_code == 202, answer.text
    pk = answer.json()["operation_id"]
    wait_until(lambda: told(client, pk)["operation"]["bytes_done"], seconds=30)
    return pk


def ended(client, pk):
    wait_until(lambda: told(client, pk)["operation"]["completed_at"], seconds=60)
    return told(client, pk)


@pytest.mark.process
@pytest.mark.slow
def test_a_killed_worker_and_a_restarted_ollama_cost_no_byte_and_no_model(
    house, practice_ollama
):
    client = house.client()
    pk = begun(client)

    house.kill("worker")
    at_the_kill = told(client, pk)["operation"]["bytes_done"]
    wait_until(
        lambda: told(client, pk)["operation"]["bytes_done"] > at_the_kill, seconds=30
    )
    practice_ollama.stop()
    wait_until(
        lambda: "Trying again" in (told(client, pk)["operation"]["message"] or "")
    )
    practice_ollama.start()

    answer = ended(client, pk)
    assert answer["operation"]["status"] == "completed", answer
    assert answer["operation"]["attempts"] == 2
    assert answer["operation"]["bytes_done"] == BYTES
    lines = [line["line"] for line in answer["log"]]
    assert lines.count("Completed.") == 1
    fetched = practice_ollama.state.folder.fetched_bytes
    assert sum(fetched.values()) <= practice_ollama_bytes(practice_ollama)
    assert NAME in practice_ollama.state.model_names()
    client.close()


def practice_ollama_bytes(practice_ollama):
    """All that was ever on its way: each digest once."""
    return sum(blob.size_bytes for blob in practice_ollama.state.folder.blobs.values())


@pytest.mark.process
@pytest.mark.slow
def test_two_who_ask_at_once_watch_one_download_and_either_may_cancel(
    house, practice_ollama
):
    anna, ben = house.client(), house.client()
    pk = begun(anna)
    again = ben.post(INSTALL, json={"provider": "ollama", "name": NAME})
    assert again.json()["operation_id"] == pk

    ben.post(f"{OPERATIONS}/{pk}/cancel")
    wait_until(lambda: told(anna, pk)["operation"]["completed_at"], seconds=2)

    assert told(anna, pk)["operation"]["status"] == "cancelled"
    assert practice_ollama.state.requests["/api/pull"] == 1
    assert NAME not in practice_ollama.state.model_names()
    anna.close()
    ben.close()
