"""The page before an activation: now and after, the plan, and what else it changes."""

from __future__ import annotations

import re

import pytest

from models_app.models import Operation
from runtime_app.choices import RuntimeKind
from runtime_app.models import Activation
from runtime_app.services import activation_plan, relief
from runtime_app.views import activate as activate_views
from tests.factories import InstalledModelFactory, RuntimeFactory

pytestmark = pytest.mark.django_db

MODELS = [{"name": "gemma3:4b"}, {"name": "phi3:mini"}]


@pytest.fixture
def look(page_client):
    """look("phi3:mini") → the text of the page, without markup."""
    client = page_client("Operator")

    def open_page(model: str = "phi3:mini", runtime: str = "ollama") -> str:
        answer = client.get(f"/runtimes/{runtime}/activate/", {"model": model})
        assert answer.status_code == 200
        text = re.sub(r"<[^>]+>", " ", answer.content.decode())
        return re.sub(r"\s+", " ", text)

    return open_page


@pytest.fixture
def ollama():
    return RuntimeFactory(online=True, served_models=MODELS)


def activate(runtime, *, in_memory: bool = True) -> None:
    if in_memory:
        runtime.loaded_models = [{"name": "gemma3:4b", "expires_at": None}]
        runtime.save()
    Activation.objects.create(
        node=runtime.node,
        runtime=runtime,
        model_name="gemma3:4b",
        served_name="gemma3:4b",
        state="active",
    )


def test_with_nothing_active_the_page_says_what_begins(ollama, look):
    page = look()
    assert "no model is active" in page
    assert "get answers from now on." in page
    assert "If a step fails, no model is active, as now." in page
    assert not Operation.objects.exists(), "looking starts nothing"


def test_the_model_that_leaves_memory_is_named(ollama, look):
    activate(ollama)
    page = look()
    assert "Now gemma3:4b on Ollama" in page
    assert "no longer reach gemma3:4b." in page
    assert "gemma3:4b leaves memory once its running requests have ended." in page
    assert "If a step fails, gemma3:4b on Ollama answers again by itself." in page


def test_a_pinned_model_stays_in_memory(ollama, look):
    activate(ollama)
    InstalledModelFactory(name="gemma3:4b", node=ollama.node, pinned=True)
    page = look()
    assert "gemma3:4b stays in the memory of Ollama." in page
    assert "leaves memory" not in page


def test_what_is_not_in_memory_cannot_leave_it(ollama, look):
    activate(ollama, in_memory=False)
    assert "leaves memory" not in look()


def test_what_another_server_holds_leaves_its_memory(ollama, look):
    activate(ollama)
    RuntimeFactory(
        name="shed",
        kind=RuntimeKind.OPENAI_COMPATIBLE,
        online=True,
        served_models=MODELS,
    )
    page = look(runtime="shed")
    assert "gemma3:4b leaves memory once its running requests have ended." in page


def test_what_is_active_already_is_only_confirmed(ollama, look):
    activate(ollama)
    page = look("gemma3:4b")
    assert "It is active already; this confirms it once more." in page
    assert "leaves memory" not in page


def test_a_server_without_models_has_no_plan(look):
    RuntimeFactory(online=True, served_models=[])
    page = look("")
    assert "lists no model." in page
    assert "If a step fails" not in page
    assert "Activate now" not in page


def test_the_diff_and_the_plan_come_before_the_buttons(ollama, look):
    activate(ollama)
    page = look()
    changes, plan = page.index("Setting Now After"), page.index("Plan")
    assert "OLLAMA_ACTIVE_MODEL" in page
    assert changes < plan < page.index("Activate now")


def test_the_page_opens_as_a_dialog_from_cards_and_rows(ollama, page_client):
    page = page_client("Operator").get("/runtimes/").content.decode()
    assert 'hx-select="#activate"' in page
    assert 'id="server-action-body"' in page


def test_what_has_to_leave_is_chosen_before_anything_does(
    ollama, page_client, monkeypatch
):
    idle = relief.Idle(
        runtime=ollama, name="qwen3:8b", frees_bytes=6 * 2**30, last_used_at=None
    )
    told = activation_plan.ActivationPreview(
        runtime="ollama",
        model="phi3:mini",
        when="now",
        relief=(idle,),
        blocked="It needs more than is free.",
        blocked_code="does_not_fit",
    )
    monkeypatch.setattr(activate_views, "activation_preview", lambda *_: told)
    client = page_client("Operator")

    page = client.get("/runtimes/ollama/activate/?model=phi3:mini").content.decode()

    assert "qwen3:8b" in page
    assert '<input type="hidden" name="relief" value="auto">' in page
    assert "Make room and activate now" in page
    assert "does_not_fit" not in page


def test_a_refusal_that_no_room_ends_has_no_button(ollama, page_client, monkeypatch):
    told = activation_plan.ActivationPreview(
        runtime="ollama",
        model="phi3:mini",
        when="now",
        blocked="It cannot run there.",
        blocked_code="incompatible_runtime",
    )
    monkeypatch.setattr(activate_views, "activation_preview", lambda *_: told)

    answer = page_client("Operator").get("/runtimes/ollama/activate/?model=phi3:mini")

    page = answer.content.decode()
    assert "It cannot run there. <code>incompatible_runtime</code>" in page
    assert 'name="when"' not in page
