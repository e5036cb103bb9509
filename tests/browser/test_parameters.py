"""The parameters on a model's page, as a person fills them in."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.test_live import is_live

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.slow]

PAGE = "/models/ollama/gemma3:4b/"
REFUSED = "status of 422"
RENEW = "htmx.trigger('#model-page', 'venom:refresh')"


def test_what_is_being_typed_stays_when_the_page_renews_itself(open_as_owner):
    page = open_as_owner(PAGE)
    is_live(page)
    page.get_by_label("Temperature").fill("0.3")

    page.evaluate("document.querySelector('#model-page h1').dataset.old = 'yes'")
    page.evaluate(RENEW)

    expect(page.locator("#model-page h1[data-old]")).to_have_count(0)
    expect(page.get_by_label("Temperature")).to_have_value("0.3")


def test_a_wrong_value_is_said_beside_its_field_and_a_right_one_is_stored(
    open_as_owner, eyes, program
):
    eyes.forgive(REFUSED)
    config = "/api/v1/models/gemma3:4b/config"
    page = open_as_owner(PAGE)
    card = page.locator("#model-parameters")
    card.locator("form").evaluate("form => { form.noValidate = true }")

    page.get_by_label("Temperature").fill("3")
    card.get_by_role("button", name="Save").click()
    expect(card.locator(".err")).to_have_count(1)
    expect(page.get_by_label("Temperature")).to_have_value("3")

    page.get_by_label("Temperature").fill("0.3")
    card.get_by_role("button", name="Save").click()
    expect(page.locator("#toasts")).to_contain_text("saved")
    assert program.get(config).json()["current_values"]["temperature"] == 0.3

    card.get_by_role("button", name="Leave all to the server").click()
    expect(page.get_by_label("Temperature")).to_have_value("")
    assert program.get(config).json()["current_values"]["temperature"] is None
