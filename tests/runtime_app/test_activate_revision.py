"""`revision` of POST /models/activate: chosen among installed versions, or refused."""

from __future__ import annotations

import pytest

from models_app.models import Operation
from runtime_app.services.runtimes import installed_on, lacks
from tests.factories import InstalledModelFactory, RuntimeFactory

pytestmark = pytest.mark.django_db
ACTIVATE = "/api/v1/models/activate"
NAME = "org/model"
OLD, NEW = "a1" * 20, "b2" * 20


@pytest.fixture
def vllm(settings):
    """A vLLM that lists the name, of which two revisions lie here."""
    settings.RUNTIME_PROFILE = "full"
    for revision in (OLD, NEW):
        InstalledModelFactory(name=NAME, provider="huggingface", revision=revision)
    listed = [{"name": NAME}]
    return RuntimeFactory(name="vllm", kind="vllm", served_models=listed)


@pytest.fixture
def activate(api_client):
    program = api_client("operate")

    def call(**body):
        return program.post(ACTIVATE, body, content_type="application/json")

    return call


def test_a_revision_reaches_the_operation_in_full(vllm, activate):
    answer = activate(name=NAME, runtime="vllm", revision=OLD[:8])

    assert answer.status_code == 202, answer.json()
    assert Operation.objects.get().params["revision"] == OLD


def test_the_same_wish_joins_and_another_revision_does_not(vllm, activate):
    first = activate(name=NAME, runtime="vllm", revision=OLD)
    again = activate(name=NAME, runtime="vllm", revision=OLD[:12])
    other = activate(name=NAME, runtime="vllm", revision=NEW)

    assert again.json()["operation_id"] == first.json()["operation_id"]
    assert (other.status_code, other.json()["code"]) == (409, "operation_conflict")


def test_a_revision_that_is_not_installed_is_refused(vllm, activate):
    answer = activate(name=NAME, runtime="vllm", revision="c3" * 20)

    assert (answer.status_code, answer.json()["code"]) == (409, "model_not_installed")
    assert Operation.objects.count() == 0


def test_ollama_has_one_version_of_a_name(activate):
    RuntimeFactory(online=True)

    answer = activate(name="gemma3:4b", runtime="ollama", revision=OLD)

    assert (answer.status_code, answer.json()["code"]) == (409, "incompatible_runtime")
    assert "Leave it out" in answer.json()["detail"]


def test_the_row_behind_an_activation_is_that_revision(vllm):
    assert installed_on(vllm, NAME, OLD).revision == OLD
    assert installed_on(vllm, NAME, NEW).revision == NEW


def test_a_model_that_its_server_does_not_serve_says_where_it_lies(vllm):
    folder = "/srv/models/hf/org/m@c3"
    InstalledModelFactory(
        node=vllm.node, provider="huggingface", name="org/other", path=folder
    )

    assert lacks(vllm, "org/other").endswith(f"with its folder: {folder}.")
    assert "folder" not in lacks(vllm, "org/unknown")
