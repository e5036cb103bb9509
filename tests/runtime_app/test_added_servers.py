"""Servers added by hand: changed and removed, but never under those who use them."""

from __future__ import annotations

import pytest

from history_app.models import AuditEntry
from runtime_app.choices import RuntimeKind, RuntimeStatus
from runtime_app.models import Activation, Runtime, RuntimeSample
from tests.factories import OperationFactory, RuntimeFactory
from venom_site.lib import secrets

pytestmark = pytest.mark.django_db
ADDRESS = "http://127.0.0.1:9/v1"


@pytest.fixture
def shed():
    return RuntimeFactory(
        name="shed",
        display_name="shed",
        kind=RuntimeKind.OPENAI_COMPATIBLE,
        base_url="http://127.0.0.1:8/v1",
        encrypted_key=secrets.encrypt("sk-first-key"),
        online=True,
    )


def activate(runtime):
    return Activation.objects.create(
        node=runtime.node,
        runtime=runtime,
        model_name="gemma3:4b",
        served_name="gemma3:4b",
        state="active",
    )


def test_an_address_is_changed_and_what_was_seen_at_the_old_one_is_forgotten(
    shed, page_client
):
    wanted = {"base_url": ADDRESS, "key": ""}

    answer = page_client("Operator").post("/runtimes/shed/change/", wanted)

    shed.refresh_from_db()
    assert (answer.status_code, answer.url) == (302, "/runtimes/shed/")
    assert (shed.base_url, shed.served_models) == (ADDRESS, [])
    assert shed.status == RuntimeStatus.OFFLINE, "it was looked at once"
    assert secrets.decrypt(shed.encrypted_key) == "sk-first-key"
    entry = AuditEntry.objects.get(verb="runtime.change")
    assert entry.after["base_url"] == ADDRESS
    assert "sk-first" not in str(entry.after)


def test_a_key_is_replaced_or_forgotten_and_never_shown(shed, page_client):
    client = page_client("Operator")
    same = {"base_url": shed.base_url}
    assert b"sk-first-key" not in client.get("/runtimes/shed/change/").content

    client.post("/runtimes/shed/change/", same | {"key": "sk-second-key"})
    shed.refresh_from_db()
    assert secrets.decrypt(shed.encrypted_key) == "sk-second-key"

    client.post("/runtimes/shed/change/", same | {"forget_key": "on"})
    shed.refresh_from_db()
    assert shed.encrypted_key == ""


@pytest.mark.parametrize(
    "wanted", [{}, {"base_url": "nonsense"}, {"base_url": ADDRESS, "key": "a b"}]
)
def test_a_wrong_form_changes_nothing(shed, page_client, wanted):
    answer = page_client("Operator").post("/runtimes/shed/change/", wanted)

    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.content.decode()
    assert not AuditEntry.objects.filter(verb="runtime.change").exists()


def test_a_removed_server_leaves_its_samples_behind_nowhere(shed, page_client):
    RuntimeSample.objects.create(runtime=shed, at=shed.created_at, status="online")

    answer = page_client("Operator").post("/runtimes/shed/remove/", follow=True)

    assert "Removed shed." in answer.content.decode()
    assert not Runtime.objects.exists()
    assert not RuntimeSample.objects.exists()
    assert AuditEntry.objects.get(verb="runtime.remove").object_name == "shed"


@pytest.mark.parametrize("verb", ["change", "remove"])
def test_the_server_of_the_active_model_stays_as_it_is(shed, page_client, verb):
    activate(shed)
    client = page_client("Operator")

    answer = client.post(f"/runtimes/shed/{verb}/", {"base_url": ADDRESS})

    assert answer.status_code == 409
    assert "switch away first" in answer.content.decode()
    assert "switch away first" in client.get("/runtimes/shed/change/").content.decode()
    assert Runtime.objects.get(name="shed").base_url != ADDRESS


def test_a_server_that_an_operation_works_on_is_not_taken_away(shed, page_client):
    OperationFactory(running=True, runtime="shed", node=shed.node)

    answer = page_client("Operator").post("/runtimes/shed/remove/")

    assert answer.status_code == 409
    assert Runtime.objects.exists()


def test_the_address_of_ollama_is_a_setting(page_client):
    RuntimeFactory(online=True)
    client = page_client("Operator")

    answer = client.post("/runtimes/ollama/change/", {"base_url": ADDRESS})

    assert answer.status_code == 409
    assert "setting of the environment" in answer.content.decode()
    assert "/runtimes/ollama/change/" not in client.get("/runtimes/").content.decode()


def test_only_who_operates_may_change_or_remove(shed, page_client):
    client = page_client("Viewer")
    assert client.get("/runtimes/shed/change/").status_code == 403
    assert client.post("/runtimes/shed/remove/").status_code == 403
    assert "/runtimes/shed/change/" not in client.get("/runtimes/").content.decode()
