"""A gated model met with a token whose owner has not accepted its licence: from the
search to the refusal by name, and through the gate once it is open."""

from __future__ import annotations

import pytest

from models_app.models import CatalogEntry, Operation
from tests.models_app.hub_installs import carry_out

pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.hub_fixtures")
pytestmark = pytest.mark.django_db(transaction=True)

GATED = "practice/tiny-gated"
WISH = {"provider": "huggingface", "name": GATED}
CHECK, FIT = "/models/install/", "/models/install/fit/"
PAGE = f"/models/huggingface/{GATED}/"
REFUSED = "is given only to those who accepted its licence"
STEP = "Accept the licence with the account of HF_TOKEN, then check again."
PART = {"HX-Request": "true"}


@pytest.fixture
def gate(shop, environment):
    """The hub with our token set; `url` is the model's page for people."""
    environment(
        VENOM_RUNTIME_PROFILE="full",
        HF_ENDPOINT=shop.url,
        HF_TOKEN=shop.state.token,
        MODELS_CACHE_DIR=shop.store.parent,
    )
    return shop


@pytest.fixture
def link(gate):
    return f"{gate.url}/{GATED}"


@pytest.fixture
def operator(gate, page_client):
    return page_client("Operator")


@pytest.fixture
def program(gate, api_client):
    return api_client("read", "operate")


def accept(gate):
    """What its owner does at the source; then somebody presses «Check again»."""
    gate.state.accepted.add(GATED)
    CatalogEntry.objects.update(asked_at=None)


def test_pages_lead_from_the_search_to_the_refusal_with_its_link(operator, link):
    found = operator.get("/models/catalog/?q=tiny-gated&part=huggingface").text
    assert PAGE in found

    page = operator.get(f"{PAGE}?ask=1").text
    assert "accept its licence at the source with the account of HF_TOKEN" in page
    assert "gated: the licence is not accepted" in page
    assert f'href="{link}"' in page
    assert 'href="/models/install/?' not in page

    check = operator.get(CHECK, WISH).text
    assert "Cannot be installed now" in check
    assert 'id="install-button"' not in check
    assert f'<a href="{link}" rel="noreferrer">' in check


def test_the_check_says_it_once_wherever_it_is_asked(operator, link):
    operator.get(f"{PAGE}?ask=1")  # so that the copy knows of the gate too

    check = operator.get(CHECK, WISH).text
    assert (check.count(REFUSED), check.count(STEP)) == (1, 1)
    assert "It is gated" not in check
    fit = operator.get(FIT, WISH | {"gate_told": "1"}, headers=PART).text
    assert "gated" not in fit.replace(GATED, "")
    answer = operator.post(CHECK, WISH)
    assert answer.status_code == 422
    assert (answer.text.count(REFUSED), answer.text.count(STEP)) == (1, 1)
    assert "<code>gated_model</code>" in answer.text
    assert not Operation.objects.exists()


def test_the_fit_part_alone_still_names_the_gate_and_where_it_opens(operator, link):
    fit = operator.get(FIT, WISH, headers=PART).text

    assert "accept its licence at the source" in fit
    assert f'<a href="{link}" rel="noreferrer">' in fit


def test_programs_are_told_what_is_missing_and_where(program, link):
    found = program.get("/api/v1/models/search?query=tiny-gated&provider=huggingface")
    [model] = [each for each in found.json()["models"] if each["model_name"] == GATED]
    assert model["gated"] == "manual"

    details = program.get("/api/v1/models/details", WISH).json()
    assert details["gated"]["state"] == "licence_missing"
    assert link in details["gated"]["note"]

    refusal = program.post("/api/v1/models/install", WISH, "application/json")
    assert refusal.status_code == 409
    problem = refusal.json()
    assert (problem["code"], problem["missing"]) == ("gated_model", "licence")
    assert problem["url"] == link
    assert not Operation.objects.exists()


def test_once_the_licence_is_accepted_the_same_check_lets_it_in(operator, gate):
    assert "Cannot be installed now" in operator.get(CHECK, WISH).text

    accept(gate)
    refreshed = operator.post("/models/details/refresh/", WISH, headers=PART).text
    check = operator.get(CHECK, WISH).text
    operator.post(CHECK, WISH)

    assert "gated: the licence is not accepted" not in refreshed
    assert (REFUSED in check, 'id="install-button"' in check) == (False, True)
    operation = carry_out(Operation.objects.get())
    assert (operation.status, operation.error) == ("completed", "")
