"""The buttons of a model's memory, with and without a script."""

from __future__ import annotations

import pytest

from models_app.choices import OperationType
from models_app.models import InstalledModel, Operation
from runtime_app.monitoring import health
from tests.factories import InstalledModelFactory

pytestmark = pytest.mark.django_db(transaction=True)

VERBS = ("load", "unload", "pin", "unload-all")
HTMX = {"HX-Request": "true"}


@pytest.fixture
def gemma(ollama_row):
    health.check_runtime(ollama_row)
    return InstalledModelFactory(name="gemma3:4b", node=ollama_row.node)


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_a_button_starts_the_operation_and_answers_with_card_and_toast(
    gemma, page_client, verb
):
    wanted = {"name": "gemma3:4b", "runtime": "ollama"}

    answer = page_client("Operator").post(
        f"/runtimes/memory/{verb}/", wanted, headers=HTMX
    )

    operation = Operation.objects.get()
    assert answer.status_code == 200
    assert (operation.operation_type, operation.model_name) == (verb, "gemma3:4b")
    assert operation.started_by == "operator"
    part = answer.content.decode()
    assert 'id="runtime-ollama"' in part
    assert part.count("hx-swap-oob") == 2, "the card and the toast"
    assert f"/operations/{operation.pk}/" in part, "the toast leads to the operation"
    assert "csrfmiddlewaretoken" not in part, "a pushed card is shared by all viewers"


def test_the_model_is_enough_its_runtime_follows(gemma, page_client):
    page_client("Operator").post("/runtimes/memory/load/", {"name": "gemma3:4b"})
    assert Operation.objects.get().runtime == "ollama"


def test_without_a_script_the_browser_goes_back_where_the_message_waits(
    gemma, page_client
):
    client = page_client("Operator")
    answer = client.post(
        "/runtimes/memory/load/",
        {"name": "gemma3:4b"},
        headers={"Referer": "http://testserver/runtimes/ollama/"},
    )
    assert (answer.status_code, answer.url) == (
        302,
        "http://testserver/runtimes/ollama/",
    )
    assert (
        "“Load gemma3:4b” has been queued." in client.get(answer.url).content.decode()
    )


def test_another_site_cannot_choose_where_the_browser_goes(gemma, page_client):
    answer = page_client("Operator").post(
        "/runtimes/memory/load/",
        {"name": "gemma3:4b"},
        headers={"Referer": "https://evil.example/"},
    )
    assert answer.url == f"/operations/{Operation.objects.get().pk}/"


def test_everything_is_unloaded_by_one_button(gemma, page_client):
    client = page_client("Operator")
    part = client.post("/runtimes/memory/unload-all/", headers=HTMX).content.decode()
    operation = Operation.objects.get()
    assert operation.operation_type == OperationType.UNLOAD
    assert operation.model_name == ""
    assert 'id="runtime-ollama"' in part


@pytest.mark.parametrize(("sent", "kept"), [("true", True), ("0", False)])
def test_a_pin_is_set_and_taken_away(gemma, page_client, sent, kept):
    InstalledModel.objects.update(pinned=not kept)

    answer = page_client("Operator").post(
        "/runtimes/memory/pin/",
        {"name": "gemma3:4b", "pinned": sent},
        headers=HTMX,
    )

    assert InstalledModel.objects.get().pinned is kept
    words = "stays in memory" if kept else "no longer pinned"
    assert words in answer.content.decode()


@pytest.mark.parametrize("sent", [{}, {"pinned": ""}, {"pinned": "perhaps"}])
def test_a_pin_that_does_not_say_which_way_changes_nothing(gemma, page_client, sent):
    InstalledModel.objects.update(pinned=True)
    answer = page_client("Operator").post(
        "/runtimes/memory/pin/", {"name": "gemma3:4b"} | sent
    )
    assert answer.status_code == 422
    assert InstalledModel.objects.get().pinned


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({}, 422),
        ({"name": ""}, 422),
        ({"name": "x" * 300}, 422),
        ({"name": "nul\x00"}, 422),
        ({"name": "not-here:1b"}, 404),
        ({"name": "../etc"}, 404),
    ],
)
@pytest.mark.parametrize("verb", ["load", "unload"])
def test_a_name_that_cannot_be_is_refused_in_a_sentence(
    gemma, page_client, verb, sent, status
):
    answer = page_client("Operator").post(
        f"/runtimes/memory/{verb}/", sent, headers=HTMX
    )
    assert answer.status_code == status
    assert not Operation.objects.exists()


@pytest.mark.parametrize("verb", VERBS)
def test_a_viewer_may_not_touch_memory(gemma, page_client, verb):
    answer = page_client("Viewer").post(
        f"/runtimes/memory/{verb}/", {"name": "gemma3:4b", "pinned": "true"}
    )
    assert answer.status_code == 403
    assert not Operation.objects.exists()


@pytest.mark.parametrize("verb", VERBS)
def test_looking_at_the_address_of_a_button_does_nothing(gemma, page_client, verb):
    assert page_client("Operator").get(f"/runtimes/memory/{verb}/").status_code == 405
