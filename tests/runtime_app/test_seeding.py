"""The model that the environment names is activated once, and only once."""

from __future__ import annotations

import logging

import pytest

from models_app.models import Operation
from models_app.services import claims, operations
from runtime_app.models import Activation, Runtime
from runtime_app.monitoring import health
from runtime_app.services import activate, activating, seeding
from venom_site.lib.access import SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)
pytest_plugins = ("tests.fakes.fixtures",)


@pytest.fixture
def environ(settings):
    """environ(NAME=value) changes what the environment says."""

    def change(**values) -> None:
        fresh = settings.ENV.model_dump() | values
        settings.ENV = type(settings.ENV).model_validate(fresh)

    return change


def wishes() -> list[tuple[str, str, str]]:
    rows = Operation.objects.filter(operation_type="activate")
    return list(rows.values_list("runtime", "model_name", "started_by"))


@pytest.mark.parametrize(
    "wish",
    [
        {"OLLAMA_ACTIVE_MODEL": "phi3:mini"},
        {"LLM_MODEL_NAME": "phi3:mini"},
        {"LLM_MODEL_NAME": "phi3:mini", "ACTIVE_LLM_SERVER": "ollama"},
        {"LLM_MODEL_NAME": "other", "OLLAMA_ACTIVE_MODEL": "phi3:mini"},
        {"VLLM_ACTIVE_MODEL": "org/model", "OLLAMA_ACTIVE_MODEL": "phi3:mini"},
    ],
)
def test_the_first_start_activates_what_the_environment_names(
    environ, practice_ollama, wish
):
    environ(OLLAMA_BASE_URL=practice_ollama.url, **wish)

    seeding.at_worker_start()
    seeding.at_worker_start()

    assert wishes() == [("ollama", "phi3:mini", "settings")]


def test_a_server_that_comes_later_is_asked_when_it_lists_the_model(
    environ, practice_ollama
):
    environ(OLLAMA_BASE_URL=practice_ollama.url, OLLAMA_ACTIVE_MODEL="phi3:mini")
    practice_ollama.stop()
    seeding.at_worker_start()
    health.check_node()
    assert wishes() == []

    practice_ollama.start()
    health.check_node()

    assert wishes() == [("ollama", "phi3:mini", "settings")]


def test_a_model_that_no_server_has_is_logged_and_no_error(
    environ, practice_ollama, caplog
):
    environ(OLLAMA_BASE_URL=practice_ollama.url, OLLAMA_ACTIVE_MODEL="llama3:70b")

    with caplog.at_level(logging.INFO):
        seeding.at_worker_start()

    assert wishes() == []
    assert "initial model not activated model=llama3:70b" in caplog.text


def test_once_somebody_has_chosen_the_environment_is_not_asked_again(
    environ, practice_ollama
):
    environ(OLLAMA_BASE_URL=practice_ollama.url)
    seeding.ensure_runtimes()
    operation = activate.request_activation("ollama", "gemma3:4b", actor=SYSTEM)
    operations.cancel_operation(operation, actor=SYSTEM)
    environ(OLLAMA_ACTIVE_MODEL="phi3:mini")

    seeding.at_worker_start()

    assert wishes() == [("ollama", "gemma3:4b", "system")]


def test_the_wish_is_carried_out_like_any_other(environ, practice_ollama):
    environ(OLLAMA_BASE_URL=practice_ollama.url, OLLAMA_ACTIVE_MODEL="phi3:mini")
    seeding.at_worker_start()
    operation = Operation.objects.get(operation_type="activate")

    claims.carry_out(operation.pk, activating.perform_activation)

    assert Activation.objects.default().get().activated_by == "settings"


def test_a_wish_outside_the_profile_harms_nobody(environ, settings, db):
    settings.RUNTIME_PROFILE = "llm_off"
    environ(OLLAMA_ACTIVE_MODEL="phi3:mini")

    seeding.at_worker_start()

    assert wishes() == []


def test_who_starts_a_server_here_is_known_from_the_first_start(settings):
    change = {"OLLAMA_COMMAND": "true serve", "OLLAMA_SYSTEMD_UNIT": "absent.service"}
    settings.ENV = settings.ENV.model_copy(update=change)
    seeding.ensure_runtimes()
    assert Runtime.objects.get(name="ollama").managed_by == "process"

    change["OLLAMA_COMMAND"] = "no-such-program serve"
    settings.ENV = settings.ENV.model_copy(update=change)
    seeding.ensure_runtimes()
    assert Runtime.objects.get(name="ollama").managed_by == "external"
