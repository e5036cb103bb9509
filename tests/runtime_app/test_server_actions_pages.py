"""Before a server starts or ends: what that breaks, and the button that does it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from models_app.models import Operation
from runtime_app.choices import ManagedBy, RuntimeKind
from runtime_app.models import Activation, GatewayPresence
from runtime_app.services.server_effects import effects_on
from runtime_app.views.cards import all_cards
from tests.factories import InstalledModelFactory, OperationFactory, RuntimeFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def ollama():
    """An Ollama that Venom runs as a process of its own."""
    return RuntimeFactory(online=True, managed_by=ManagedBy.PROCESS)


@pytest.fixture
def vllm(settings):
    settings.RUNTIME_PROFILE = "full"
    return RuntimeFactory(
        name="vllm",
        display_name="vLLM",
        kind=RuntimeKind.VLLM,
        managed_by=ManagedBy.PROCESS,
        base_url="http://127.0.0.1:9/v1",
        status="offline",
        last_model="org/second",
    )


def text_of(answer) -> str:
    words = re.sub(r"<[^>]+>", " ", answer.content.decode())
    return re.sub(r"\s+", " ", words)


def busy(runtime, requests: int) -> None:
    GatewayPresence.objects.create(
        process="p",
        node=runtime.node,
        version=1,
        in_flight={f"{runtime.name}|gemma3:4b": requests},
        seen_at=timezone.now(),
    )


def test_a_restart_says_what_it_breaks_and_how_long_the_last_ones_took(
    ollama, page_client
):
    ollama.loaded_models = [{"name": "gemma3:4b"}]
    ollama.save()
    Activation.objects.create(
        node=ollama.node, runtime=ollama, model_name="gemma3:4b", state="active"
    )
    busy(ollama, 2)
    download = OperationFactory(
        running=True,
        operation_type="install",
        provider="ollama",
        model_name="llama3.1:8b",
        bytes_done=3_100_000_000,
        node=ollama.node,
    )
    now = timezone.now()
    for seconds in (40, 45, 90):
        OperationFactory(
            completed=True,
            operation_type="restart",
            runtime="ollama",
            node=ollama.node,
            started_at=now - timedelta(seconds=seconds),
            completed_at=now,
        )

    answer = page_client("Operator").get("/runtimes/ollama/restart/")

    page = text_of(answer)
    assert "2 requests run on it now" in page
    assert "gemma3:4b is the active model" in page
    assert "has to load again: gemma3:4b" in page
    assert "“Install llama3.1:8b” may lose the 3.1 GB" in page
    assert f"/operations/{download.pk}/" in answer.content.decode()
    assert "About 45 s, by the last 3 starts." in page
    assert re.search(
        r"<button[^>]+> ?<svg.*?</svg> Restart Ollama</button>", answer.content.decode()
    )
    assert "“When idle” waits for them" in page
    assert not Operation.objects.filter(status="pending").exists()


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_a_server_may_be_ended_when_it_is_idle(ollama, page_client, verb):
    client, url = page_client("Operator"), f"/runtimes/ollama/{verb}/"
    assert 'name="when" value="idle"' in client.get(url).content.decode()

    answer = client.post(url, {"when": "idle"})

    operation = Operation.objects.get()
    assert answer.url == operation.get_absolute_url()
    assert operation.params["when"] == "idle"


def test_a_start_has_nothing_to_wait_for(vllm, page_client):
    page = page_client("Operator").get("/runtimes/vllm/start/").content.decode()
    assert 'value="idle"' not in page


def test_a_stop_of_what_nobody_uses_breaks_nothing(ollama, page_client):
    page = text_of(page_client("Operator").get("/runtimes/ollama/stop/"))
    assert "Nothing: no request runs on it" in page
    assert "How long it takes" not in page
    assert effects_on(ollama).is_harmless


def test_downloads_of_other_programs_are_not_lost_with_vllm(vllm):
    OperationFactory(
        running=True, operation_type="install", provider="huggingface", node=vllm.node
    )
    assert effects_on(vllm).downloads == []


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_the_button_writes_the_operation_and_leads_to_it(ollama, page_client, verb):
    answer = page_client("Operator").post(f"/runtimes/ollama/{verb}/")

    operation = Operation.objects.get()
    assert (answer.status_code, answer.url) == (302, operation.get_absolute_url())
    assert (operation.operation_type, operation.runtime) == (verb, "ollama")
    assert operation.started_by == "operator"


def test_vllm_is_started_with_a_model_of_its_own(vllm, page_client):
    for name in ("org/first", "org/second"):
        InstalledModelFactory(name=name, provider="huggingface", node=vllm.node)
    InstalledModelFactory(name="phi3:mini", node=vllm.node)

    page = page_client("Operator").get("/runtimes/vllm/start/").content.decode()

    assert '<option value="org/second" selected>' in page
    assert '<option value="org/first">' in page
    assert "phi3:mini" not in page
    assert "Venom has not started it before" in page
    assert "What it breaks" not in page


def test_a_model_that_is_not_here_starts_nothing(vllm, page_client):
    answer = page_client("Operator").post("/runtimes/vllm/start/", {"model": "org/x"})

    assert answer.status_code == 409
    assert not Operation.objects.exists()


def test_a_server_of_others_has_no_button_and_says_why(page_client):
    RuntimeFactory(
        name="shed",
        kind=RuntimeKind.OPENAI_COMPATIBLE,
        display_name="shed",
        online=True,
    )
    client = page_client("Operator")

    answer = client.get("/runtimes/shed/stop/")

    assert 'role="alert"' in answer.content.decode()
    assert "Stop shed</button>" not in answer.content.decode()
    assert client.post("/runtimes/shed/stop/").status_code in (403, 409)
    assert not Operation.objects.exists()


def test_who_goes_first_is_named(ollama, page_client):
    holder = OperationFactory(
        running=True,
        operation_type="activate",
        model_name="phi3:mini",
        node=ollama.node,
        lock_key="test-node|runtimes",
    )
    answer = page_client("Operator").get("/runtimes/ollama/restart/")
    assert re.search(r"“Activate phi3:mini” goes first\s?, anna", text_of(answer))
    assert f"/operations/{holder.pk}/" in answer.content.decode()


def test_an_activation_that_started_it_tells_how_long_a_start_takes(vllm):
    OperationFactory(
        completed=True,
        operation_type="activate",
        runtime="vllm",
        node=vllm.node,
        checkpoint={"steps": {"starting": 52.5, "confirming": 1}},
    )
    OperationFactory(
        completed=True, operation_type="activate", runtime="vllm", node=vllm.node
    )
    effects = effects_on(vllm)
    assert (effects.seconds, effects.starts) == (52.5, 1)


def test_the_card_offers_what_fits_its_state(ollama, vllm, page_client):
    page = page_client("Operator").get("/runtimes/").content.decode()
    assert 'href="/runtimes/ollama/restart/"' in page
    assert 'href="/runtimes/ollama/stop/"' in page
    assert 'href="/runtimes/ollama/start/"' not in page
    assert 'href="/runtimes/vllm/start/"' in page
    assert 'href="/runtimes/vllm/stop/"' not in page
    assert 'id="server-action-body"' in page
    assert "/restart/" not in page_client("Viewer").get("/runtimes/").content.decode()


def test_a_server_that_nobody_asked_for_is_stopped_and_no_trouble(vllm, page_client):
    [card] = all_cards()
    assert card.shown_status == "stopped"
    page = page_client("Operator").get("/").content.decode()
    assert "needs attention" not in page
    assert (
        'data-status="stopped"'
        in page_client("Viewer").get("/runtimes/").content.decode()
    )

    vllm.wish = "running"
    vllm.save()
    assert all_cards()[0].shown_status == "offline"


def test_a_conflict_names_the_process_and_the_way_out(ollama, page_client):
    ollama.status = "conflict"
    ollama.holder = {"pid": 4711, "user": "ollama", "command": "ollama serve <x>"}
    ollama.save()

    page = page_client("Operator").get("/runtimes/").content.decode()

    assert "held by process 4711, not started by Venom." in page
    assert "It belongs to ollama." in page
    assert "ollama serve &lt;x&gt;" in page
    assert "<code>kill 4711</code>" in page


def test_a_start_says_since_when(vllm, page_client):
    vllm.status, vllm.changed_at = "starting", timezone.now() - timedelta(seconds=70)
    vllm.save()
    page = text_of(page_client("Operator").get("/runtimes/vllm/"))
    assert re.search(r"Starting for 1:1\d", page)


def test_crashes_say_when_it_starts_again(vllm, page_client):
    vllm.crashes, vllm.start_again_at = 3, timezone.now() + timedelta(seconds=65)
    vllm.save()
    page = text_of(page_client("Operator").get("/runtimes/vllm/"))
    assert "It ended by itself 3 times in a row." in page
    assert re.search(r"Starts again in 1:0\d", page)


def test_only_who_operates_sees_and_does_it(ollama, page_client):
    client = page_client("Viewer")
    assert client.get("/runtimes/ollama/restart/").status_code == 403
    assert client.post("/runtimes/ollama/restart/").status_code == 403
    assert page_client("Operator").get("/runtimes/nowhere/stop/").status_code == 404
