"""Activate a model: from the card to the answer of the API, and the way back.

`_runtime_card.html` → `views/activate.py` → `services/activate.py` ‖ worker:
`tasks.py` → `perform_activation` → `runtimes/<kind>.py` → `clients/<vendor>.py`.
"""

from __future__ import annotations

import pytest

from models_app.models import Operation
from runtime_app import tasks
from runtime_app.models import Runtime
from runtime_app.runtimes import registry
from runtime_app.services import seeding

pytestmark = pytest.mark.django_db(transaction=True)
pytest_plugins = ("tests.fakes.fixtures", "tests.real.fixtures")

ACTIVE = "/api/v1/system/llm-servers/active"


@pytest.fixture(autouse=True)
def _no_kept_connections():
    yield
    registry.close_all()


@pytest.fixture
def first_start(settings):
    """first_start(NAME=value) → the rows of an installation that starts so."""

    def start(**values: str) -> None:
        fresh = settings.ENV.model_dump() | values
        settings.ENV = type(settings.ENV).model_validate(fresh)
        seeding.ensure_runtimes()
        tasks.check_health()

    return start


def activate(client, runtime: str, model: str) -> Operation:
    """Press the button, then be the worker that the message wakes."""
    answer = client.post(f"/runtimes/{runtime}/activate/", {"model": model})
    operation = Operation.objects.get(pk=answer.url.split("/")[2])
    tasks.run_activation(str(operation.pk))
    operation.refresh_from_db()
    return operation


@pytest.mark.slow
def test_from_the_first_start_to_a_switch_and_back(
    practice_ollama, practice_openai, first_start, page_client, api_client
):
    first_start(
        OLLAMA_BASE_URL=practice_ollama.url,
        VENOM_OPENAI_COMPATIBLE_SERVERS=f"shed={practice_openai.url}/v1",
    )
    browser, program = page_client("Operator"), api_client("read")
    page = browser.get("/runtimes/").content.decode()
    assert page.count('data-status="online"') == 2

    assert activate(browser, "ollama", "gemma3:4b").status == "completed"
    assert program.get(ACTIVE).json()["active_model"] == "gemma3:4b"

    assert activate(browser, "shed", "practice-7b").status == "completed"
    assert program.get(ACTIVE).json()["active_server"] == "shed"

    practice_ollama.stop()
    failed = activate(browser, "ollama", "gemma3:4b")
    assert (failed.status, failed.error_code) == ("failed", "runtime_offline")
    assert program.get(ACTIVE).json()["active_server"] == "shed"
    assert "practice-7b" in browser.get("/").content.decode()

    practice_ollama.start()
    assert activate(browser, "ollama", "gemma3:4b").status == "completed"
    assert program.get(ACTIVE).json()["last_models"] == {
        "ollama": "gemma3:4b",
        "shed": "practice-7b",
    }


@pytest.mark.real
def test_a_real_llama_server_is_seen_and_made_active(
    real_llama_server, first_start, page_client, api_client
):
    first_start(
        VENOM_OPENAI_COMPATIBLE_SERVERS=f"llama={real_llama_server.url}/v1",
    )
    row = Runtime.objects.get(name="llama")
    assert row.status == "online"
    [model] = row.served_models
    assert model["name"] == real_llama_server.model
    assert model["size_bytes"] > 0
    assert row.version == "", "it has no /version"

    operation = activate(page_client("Operator"), "llama", real_llama_server.model)

    assert operation.status == "completed", operation.error
    active = api_client("read").get(ACTIVE).json()["runtime"]
    assert active["served_name"] == real_llama_server.model
    assert active["alias_ok"] is True
