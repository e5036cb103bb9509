"""The card of a model's parameters: on the model's page, and without a script."""

from __future__ import annotations

import re

import pytest

from runtime_app.models import GenerationParameters
from tests.factories import InstalledModelFactory, RuntimeFactory

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
PAGE = "/runtimes/ollama/parameters/"
SAVE = f"{PAGE}save/"
MODEL = {"model": "gemma3:4b"}


@pytest.fixture(autouse=True)
def gemma():
    RuntimeFactory(online=True)
    return InstalledModelFactory(name="gemma3:4b", context_length=32_768)


@pytest.fixture
def operator(page_client):
    return page_client("Operator")


def values_in(page):
    """The number fields and what stands in them."""
    inputs = re.findall(r'<input type="number"[^>]*>', page)
    name = re.compile(r' name="(\w+)"')
    value = re.compile(r' value="([^"]*)"')
    return {name.search(i)[1]: (value.search(i) or ["", ""])[1] for i in inputs}


def test_the_model_page_fetches_the_card_and_keeps_what_is_being_typed(operator):
    page = operator.get("/models/ollama/gemma3:4b/").content.decode()

    slot = re.search(r'<div id="model-parameters"[^>]*>', page)[0]
    assert "hx-preserve" in slot
    address = re.search(r'hx-get="([^"]+)"', slot)[1]
    assert f'<a href="{address}">' in page, "without a script it is a link"
    card = operator.get(address, headers=HTMX).content.decode()
    assert card.lstrip().startswith("<section")
    assert 'id="model-parameters"' not in card, "the card goes into its place"


def test_a_model_whose_server_is_not_set_up_has_no_card(operator, settings):
    settings.RUNTIME_PROFILE = "full"
    InstalledModelFactory(name="org/model", provider="huggingface")

    page = operator.get("/models/huggingface/org/model/")

    assert page.status_code == 200
    assert b"model-parameters" not in page.content


def test_saving_stores_what_was_filled_in_and_shows_it(operator):
    filled = MODEL | {"temperature": "0.2", "max_tokens": "16000", "top_p": ""}

    answer = operator.post(SAVE, filled, headers=HTMX)

    assert GenerationParameters.objects.get().params == {
        "temperature": 0.2,
        "max_tokens": 16_000,
    }
    page = answer.content.decode()
    assert values_in(page) == {
        "temperature": "0.2",
        "max_tokens": "16000",
        "top_p": "",
        "top_k": "",
        "repeat_penalty": "",
    }
    assert "hx-swap-oob" in page, "a toast says so"


def test_without_a_script_the_page_comes_back_with_the_message(operator):
    answer = operator.post(SAVE, MODEL | {"temperature": "0.2"}, follow=True)

    assert answer.redirect_chain == [(f"{PAGE}?model=gemma3%3A4b", 302)]
    page = answer.content.decode()
    assert values_in(page)["temperature"] == "0.2"
    assert "saved" in page


@pytest.mark.parametrize(("headers", "is_page"), [(HTMX, False), ({}, True)])
def test_wrong_values_come_back_in_the_form_and_nothing_is_stored(
    operator, headers, is_page
):
    filled = MODEL | {"temperature": "3", "max_tokens": "1.5", "top_k": "many"}

    answer = operator.post(SAVE, filled, headers=headers)

    page = answer.content.decode()
    assert answer.status_code == 422
    assert ("<html" in page) is is_page
    assert page.count('class="err"') == 3
    assert 'aria-invalid="true"' in page
    assert values_in(page)["temperature"] == "3"
    assert not GenerationParameters.objects.exists()


def test_reset_leaves_all_to_the_server_whatever_the_fields_say(operator):
    operator.post(SAVE, MODEL | {"temperature": "0.2"})

    answer = operator.post(
        SAVE, MODEL | {"temperature": "99", "reset": "1"}, headers=HTMX
    )

    assert answer.status_code == 200
    assert not GenerationParameters.objects.exists()
    assert b'name="reset"' not in answer.content, "nothing is left to reset"


def test_the_card_says_what_this_server_does_not_know(operator):
    card = operator.get(PAGE, MODEL, headers=HTMX).content.decode()

    assert card.count("stored, not sent") == 2  # Ollama: top_k, repeat_penalty


def test_who_may_only_look_reads_the_values(page_client):
    row = RuntimeFactory()
    GenerationParameters.objects.create(
        runtime=row, model_name="gemma3:4b", params={"temperature": 0.2}
    )
    viewer = page_client("Viewer")

    page = viewer.get(PAGE, MODEL).content.decode()

    assert "<dd>0.2</dd>" in page
    assert page.count("left to the server") == 4
    assert "<form" not in page.partition('id="model-parameters"')[2]
    assert viewer.post(SAVE, MODEL | {"temperature": "1"}).status_code == 403


@pytest.mark.parametrize(
    "address", [f"{PAGE}?model=nope:1b", PAGE, "/runtimes/nowhere/parameters/?model=m"]
)
def test_what_is_not_there_is_404(operator, address):
    assert operator.get(address).status_code == 404
