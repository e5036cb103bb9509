"""The pages of runtimes as a person sees them, with and without scripts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from models_app.models import Operation
from models_app.services import claims
from runtime_app.models import Runtime
from runtime_app.monitoring import health
from runtime_app.services import activate, activating
from runtime_app.views.cards import all_cards, card_of
from runtime_app.views.overview import sentence
from tests.factories import OperationFactory, RuntimeFactory

pytestmark = pytest.mark.django_db(transaction=True)
pytest_plugins = ("tests.fakes.fixtures",)


def make_active(model: str, actor) -> None:
    operation = activate.request_activation("ollama", model, actor=actor)
    claims.carry_out(operation.pk, activating.perform_activation)


def test_the_list_shows_state_version_and_models(ollama, page_client):
    answer = page_client("Viewer").get("/runtimes/")

    page = answer.content.decode()
    assert answer.status_code == 200
    for text in ("Ollama", "0.33.0", "gemma3:4b", "phi3:mini", "Online"):
        assert text in page
    assert "/runtimes/ollama/activate/" not in page, "a viewer may not activate"
    assert 'action="/runtimes/add/' not in page


def test_an_operator_sees_where_to_activate_and_where_to_add(ollama, page_client):
    page = page_client("Operator").get("/runtimes/").content.decode()

    assert "/runtimes/ollama/activate/?model=gemma3%3A4b" in page
    assert 'action="/runtimes/add/' in page


def test_a_page_without_runtimes_says_where_it_looked(db, page_client):
    page = page_client("Viewer").get("/runtimes/").content.decode()
    assert "No runtime found on ports 11434 and 8001." in page


def test_a_card_says_who_holds_the_runtime(ollama, page_client):
    holder = OperationFactory(running=True, lock_key="test-node|runtimes")

    [card] = all_cards()

    assert card.locked_by == holder
    page = page_client("Operator").get("/runtimes/").content.decode()
    assert f"/operations/{holder.pk}/" in page


def test_cards_cost_the_same_however_many_runtimes_there_are(
    db, django_assert_num_queries
):
    for number in range(12):
        RuntimeFactory(name=f"server-{number}", online=True)
    with django_assert_num_queries(4):
        assert len(all_cards()) == 12


def test_a_card_knows_when_a_model_leaves_memory(ollama, actor):
    make_active("gemma3:4b", actor)
    health.check_node()

    card = card_of("ollama")

    assert card is not None
    [loaded] = [model for model in card.models if model.loaded]
    assert (loaded.name, loaded.active) == ("gemma3:4b", True)
    assert loaded.size_vram_bytes
    assert loaded.expires_at > datetime.now(UTC)
    assert card.is_active
    assert card.active_model == "gemma3:4b"


def test_a_model_that_never_leaves_memory_has_no_time_of_leaving(db):
    RuntimeFactory(
        served_models=[
            {"name": "a", "loaded": True, "expires_at": "2318-03-01T00:00:00Z"},
            {"name": "b", "loaded": True, "expires_at": "nonsense"},
        ]
    )
    assert [model.expires_at for model in all_cards()[0].models] == [None, None]


def test_the_detail_page_and_names_that_do_not_exist(ollama, page_client):
    client = page_client("Viewer")
    assert "gemma3:4b" in client.get("/runtimes/ollama/").content.decode()
    assert client.get("/runtimes/nowhere/").status_code == 404
    assert client.get("/runtimes/vllm/").status_code == 403


def test_the_active_page_leads_to_the_runtime_that_answers(ollama, actor, page_client):
    client = page_client("Viewer")
    assert client.get("/runtimes/active/").url == "/runtimes/"

    make_active("gemma3:4b", actor)

    assert client.get("/runtimes/active/").url == "/runtimes/ollama/"


def test_the_plan_is_shown_before_anything_happens(ollama, page_client):
    client = page_client("Operator")

    page = client.get("/runtimes/ollama/activate/?model=phi3:mini").content.decode()

    assert "Make phi3:mini active on Ollama" in page
    assert "Confirm with one real token" in page
    assert '<option value="phi3:mini" selected>' in page
    assert not Operation.objects.exists()


def test_a_plan_for_a_model_that_is_not_there_is_blocked(ollama, page_client):
    client = page_client("Operator")
    page = client.get("/runtimes/ollama/activate/?model=<b>x").content.decode()
    assert "does not have" in page
    assert "<b>x" not in page


def test_activating_leads_to_the_operation_with_and_without_htmx(ollama, page_client):
    client = page_client("Operator")
    wanted = {"model": "gemma3:4b", "when": "now"}

    plain = client.post("/runtimes/ollama/activate/", wanted)
    quick = client.post(
        "/runtimes/ollama/activate/", wanted, headers={"HX-Request": "true"}
    )

    operation = Operation.objects.get()
    assert plain.status_code == 302
    assert plain.url == f"/operations/{operation.pk}/"
    assert (quick.status_code, quick["HX-Redirect"]) == (204, plain.url)
    assert operation.started_by == "operator"


def test_activating_when_idle_starts_an_operation_that_knows_it(ollama, page_client):
    wanted = {"model": "gemma3:4b", "when": "idle"}
    answer = page_client("Operator").post("/runtimes/ollama/activate/", wanted)
    assert answer.status_code == 302
    assert Operation.objects.get().params["when"] == "idle"


def test_activating_at_another_time_is_refused_in_a_sentence(ollama, page_client):
    wanted = {"model": "gemma3:4b", "when": "tomorrow"}
    answer = page_client("Operator").post("/runtimes/ollama/activate/", wanted)
    assert answer.status_code == 422
    assert "“now” or “idle”" in answer.content.decode()


@pytest.mark.parametrize("wanted", [{}, {"model": ""}, {"model": "x" * 300}])
def test_a_form_without_a_model_comes_back_with_the_error(ollama, page_client, wanted):
    answer = page_client("Operator").post("/runtimes/ollama/activate/", wanted)
    assert answer.status_code == 422
    assert not Operation.objects.exists()


def test_a_viewer_may_neither_activate_nor_add(ollama, page_client):
    client = page_client("Viewer")
    wanted = {"model": "gemma3:4b", "when": "now"}
    assert client.post("/runtimes/ollama/activate/", wanted).status_code == 403
    assert client.post("/runtimes/add/", {}).status_code == 403


def test_a_server_is_added_by_the_form_and_shown(page_client, practice_openai):
    wanted = {"name": "shed", "base_url": practice_openai.url, "key": ""}

    answer = page_client("Operator").post("/runtimes/add/", wanted, follow=True)

    page = answer.content.decode()
    assert "Added shed: Online." in page
    assert "practice-7b" in page


@pytest.mark.parametrize(
    ("wanted", "sentence_"),
    [
        ({"name": "Bad Name", "base_url": "http://127.0.0.1:9"}, "small letters"),
        ({"name": "shed", "base_url": "nonsense"}, "begins with http://"),
        (
            {"name": "shed", "base_url": "http://127.0.0.1:9", "key": "sk-1…9f2a"},
            "whole key",
        ),
        ({}, "required"),
    ],
)
def test_a_wrong_form_says_what_is_wanted(page_client, wanted, sentence_):
    answer = page_client("Operator").post("/runtimes/add/", wanted)

    assert answer.status_code == 422
    assert sentence_ in answer.content.decode()
    assert not Runtime.objects.exists()


def test_a_taken_name_is_said_at_the_field(page_client):
    RuntimeFactory(name="shed")
    wanted = {"name": "shed", "base_url": "http://127.0.0.1:9"}
    answer = page_client("Operator").post("/runtimes/add/", wanted)
    assert answer.status_code == 422
    assert "exists" in answer.content.decode()


def test_the_overview_says_first_whether_anything_is_wrong(ollama, actor, page_client):
    client = page_client("Viewer")
    assert "No model is active yet." in client.get("/").content.decode()

    make_active("gemma3:4b", actor)
    page = client.get("/").content.decode()
    assert "Everything is running." in page
    assert "This machine" in page
    assert f" :{ollama.port}" in page, "a port has no thousands separator"

    Runtime.objects.update(status="offline")
    assert "One thing needs attention." in client.get("/").content.decode()


def test_the_sentence_of_an_empty_installation():
    assert sentence([], alerts=[]) == "No runtime is set up."


def test_the_overview_asks_the_database_a_fixed_number_of_times(
    ollama, page_client, django_assert_max_num_queries
):
    client = page_client("Viewer")
    client.get("/")
    with django_assert_max_num_queries(16):
        client.get("/")


def test_llm_off_hides_cards_and_pages(ollama, page_client, settings):
    settings.RUNTIME_PROFILE = "llm_off"
    client = page_client("Operator")
    assert "gemma3:4b" not in client.get("/runtimes/").content.decode()
    assert client.get("/runtimes/ollama/").status_code == 403
    assert client.get("/runtimes/ollama/activate/").status_code == 403
    wanted = {"name": "shed", "base_url": "http://127.0.0.1:9"}
    assert client.post("/runtimes/add/", wanted).status_code == 403
