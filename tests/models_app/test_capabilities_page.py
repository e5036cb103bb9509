"""Who says what a model can do, and saying it by hand on a page without scripts."""

from __future__ import annotations

import pytest

from history_app.models import AuditEntry
from models_app.models import Capabilities, InstalledModel
from models_app.services import discovery
from models_app.services.nodes import this_node
from tests.factories import CapabilitiesFactory, InstalledModelFactory

pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.ollama_fixtures")
pytestmark = pytest.mark.django_db

PAGE = "/models/ollama/gemma3:4b/capabilities/"
API = "/api/v1/models/gemma3:4b/capabilities"
EMPTY = dict.fromkeys(
    [
        "supports_chat",
        "supports_system_role",
        "supports_function_calling",
        "supports_vision",
        "supports_thinking",
        "supports_embedding",
        "max_context_length",
        "quantization",
        "prompt_template",
    ],
    "",
)


@pytest.fixture
def model(db):
    return InstalledModelFactory(
        name="gemma3:4b", context_length=None, quantization="", node=this_node()
    )


@pytest.fixture
def said(model):
    return CapabilitiesFactory(
        model=model,
        supports_chat=True,
        supports_vision=True,
        supports_system_role=False,
        allowed_roles=["user", "assistant"],
        sources={
            "supports_chat": "template",
            "supports_system_role": "template",
            "supports_vision": "declared",
            "allowed_roles": "template",
            "context_length": "declared",
        },
    )


SHOWN = EMPTY | {
    "supports_chat": "yes",
    "supports_vision": "yes",
    "supports_system_role": "no",
    "allowed_roles": ["user", "assistant"],
}


def test_the_api_says_who_said_each(said, model, api_client):
    InstalledModel.objects.update(context_length=8192)

    told = api_client("read").get(API).json()["capabilities"]

    assert told["sources"] == {
        "supports_chat": "template",
        "supports_system_role": "template",
        "supports_vision": "declared",
        "allowed_roles": "template",
        "max_context_length": "declared",
    }
    assert told["source"] == "declared"


def test_rows_of_earlier_releases_have_one_source_for_all(model, api_client):
    CapabilitiesFactory(model=model, supports_vision=True)

    told = api_client("read").get(API).json()["capabilities"]

    assert told["sources"]["supports_vision"] == "declared"
    assert set(told["sources"].values()) == {"declared"}


def test_only_what_was_set_by_hand_is_said_to_be(said, api_client):
    client = api_client("operate")

    body = {"supports_vision": False}
    told = client.put(API, body, content_type="application/json").json()

    assert told["capabilities"]["sources"]["supports_vision"] == "manual"
    assert told["capabilities"]["sources"]["supports_chat"] == "template"
    assert told["capabilities"]["source"] == "manual"


def test_what_was_set_by_hand_can_be_taken_back(said, model, api_client):
    client = api_client("operate")
    client.put(API, {"supports_vision": False}, content_type="application/json")

    answer = client.delete(API)

    assert answer.status_code == 200
    assert answer.json()["capabilities"]["source"] is None
    assert not Capabilities.objects.exists()
    assert InstalledModel.objects.get().described_digest == ""
    assert AuditEntry.objects.filter(verb="model.capabilities").count() == 2


def test_taken_back_is_described_anew_at_the_next_look(ollama, api_client):
    discovery.discover()
    client = api_client("operate")
    before = client.get(API).json()["capabilities"]
    wish = {"supports_vision": False, "max_context_length": 7, "quantization": "Q1"}
    client.put(API, wish, content_type="application/json")

    client.delete(API)
    discovery.discover()

    assert client.get(API).json()["capabilities"] == before
    assert before["sources"]["supports_system_role"] == "template"
    assert before["sources"]["supports_vision"] == "declared"


def test_the_models_page_says_where_each_comes_from(said, page_client):
    page = page_client("Viewer").get("/models/ollama/gemma3:4b/").content.decode()

    assert "read from its template" in page
    assert ">declared<" in page
    assert "user, assistant" in page
    assert PAGE not in page

    page = page_client("Operator").get("/models/ollama/gemma3:4b/").content.decode()

    assert PAGE in page


def test_the_form_shows_what_is_known(said, page_client):
    page = page_client().get(PAGE).content.decode()

    assert '<option value="no" selected>' in page
    assert page.count('<option value="yes" selected>') == 2
    assert page.count("checked") == 2
    assert "Back to what is declared" not in page
    assert 'href="/models/" data-key="m" aria-current="true"' in page


def test_only_what_was_changed_is_set_by_hand(said, model, page_client):
    wish = SHOWN | {"supports_vision": "no", "max_context_length": "4096"}

    answer = page_client().post(PAGE, wish)

    assert (answer.status_code, answer.url) == (302, model.get_absolute_url())
    said.refresh_from_db()
    model.refresh_from_db()
    assert (said.supports_vision, said.supports_chat) == (False, True)
    assert model.context_length == 4096
    assert said.sources["supports_vision"] == "manual"
    assert said.sources["max_context_length"] == "manual"
    assert said.sources["supports_chat"] == "template"


def test_saving_what_stands_there_changes_nothing(said, page_client):
    Capabilities.objects.update(prompt_template="Q: {message}\nA:")

    page_client().post(PAGE, SHOWN | {"prompt_template": "Q: {message}\r\nA:"})

    said.refresh_from_db()
    assert said.source == "declared"
    assert not AuditEntry.objects.filter(verb="model.capabilities").exists()


def test_the_page_takes_back_what_was_set_by_hand(said, page_client):
    client = page_client()
    client.post(PAGE, SHOWN | {"supports_vision": "no"})
    assert "Back to what is declared" in client.get(PAGE).content.decode()

    answer = client.post(PAGE, {"reset": "1"})

    assert answer.status_code == 302
    assert not Capabilities.objects.exists()


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"prompt_template": "no place"}, "must hold {message}"),
        ({"allowed_roles": ["system"]}, "must hold user"),
        (
            {"allowed_roles": ["system", "user"], "supports_system_role": "no"},
            "supports_system_role is false",
        ),
        ({"max_context_length": "0"}, "greater than or equal to 1"),
        ({"allowed_roles": ["king"]}, "not one of the available choices"),
        ({"supports_chat": "perhaps"}, "not one of the available choices"),
    ],
)
def test_a_wish_that_makes_no_sense_comes_back_with_its_form(
    said, page_client, wish, words
):
    answer = page_client().post(PAGE, SHOWN | wish)

    assert answer.status_code == 422
    assert words in answer.content.decode()
    said.refresh_from_db()
    assert said.source == "declared"


def test_who_only_looks_may_not_change_it(said, page_client):
    assert page_client("Viewer").post(PAGE, SHOWN).status_code == 403


def test_a_model_whose_name_ends_like_the_page_is_shown(page_client):
    InstalledModelFactory(name="odd/capabilities", node=this_node())

    page = page_client().get("/models/ollama/odd/capabilities/").content.decode()

    assert "odd/capabilities" in page
    assert page_client("Viewer").get(PAGE).status_code == 403


def test_a_model_that_is_not_there_is_404(page_client):
    client = page_client()

    assert client.get(PAGE).status_code == 404
    assert client.post(PAGE, SHOWN).status_code == 404
