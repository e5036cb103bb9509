"""Every action is a plain form: the same house with JavaScript switched off."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.demo import NAME, PASSWORD
from tests.embedded.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.slow]


@pytest.fixture
def page(eyes, owner):
    """Signed in by hand: signing out must not end the session of the others."""
    page = eyes.open(java_script_enabled=False)
    page.goto("/operations/")  # leads to the form, which leads back
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Operations")
    return page


def test_a_self_test_is_started_followed_and_cancelled(page):
    page.get_by_text("Run a self-test…").click()
    page.get_by_label("Seconds").fill("90")
    page.get_by_role("button", name="Run self-test").click()
    page.wait_for_url(re.compile(r"/operations/[0-9a-f-]{36}/$"))
    expect(page.locator("#toasts")).to_contain_text("queued")
    expect(page.locator("#live")).to_be_hidden()  # it would promise what is not there

    wait_until(lambda: page.reload() and page.get_by_text("Step").count(), seconds=15)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#toasts")).to_contain_text("cancelled")
    row = page.locator(".op")
    wait_until(
        lambda: page.reload() and row.get_attribute("data-status") == "cancelled",
        seconds=5,
    )


def test_lists_are_filtered_and_paged_by_links_and_forms(page, house, program):
    for _ in range(32):
        house.start_probe(program, 1)
    page.goto("/operations/")
    page.get_by_label("Kind of operation").select_option("probe")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url(re.compile("type=probe"))
    ids = page.locator(".op").evaluate_all("rows => rows.map(row => row.id)")
    assert len(ids) == 30
    page.get_by_role("link", name="Older").click()
    page.wait_for_url(re.compile("cursor="))
    expect(page.get_by_label("Kind of operation")).to_have_value("probe")
    older = page.locator(".op").evaluate_all("rows => rows.map(row => row.id)")
    assert older
    assert not set(ids) & set(older)
    page.get_by_role("link", name="Newest").click()
    page.get_by_role("link", name="Failed", exact=True).click()
    page.wait_for_url(re.compile("status=failed"))
    expect(page.locator('.op:not([data-status="failed"])')).to_have_count(0)


def test_an_install_is_named_and_checked_on_a_page_of_its_own(page):
    page.goto("/models/")
    page.get_by_role("link", name="Install model").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Install a model")
    page.get_by_label("Model", exact=True).fill("gemma3:12b")
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#install-button")).to_contain_text("Install 8.1 GB")


def test_models_are_filtered_by_a_form_and_links(page):
    page.goto("/models/")
    page.get_by_label("State").select_option("Broken")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url(re.compile("state=broken"))
    expect(page.get_by_text("No installed model matches")).to_be_visible()
    page.get_by_role("link", name="Remove the filter Broken").click()
    expect(page.get_by_role("rowheader").first).to_be_visible()


def test_theme_and_language_are_chosen_and_kept(page):
    account = page.get_by_label("Account of owner")
    account.click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    account.click()
    page.get_by_role("button", name="Polski").click()
    expect(page.locator("html")).to_have_attribute("lang", "pl")
    page.goto("/requests/")
    expect(page.locator("html")).to_have_attribute("lang", "pl")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_signing_out_ends_the_session(page):
    page.get_by_label("Account of owner").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Signed out")
    page.goto("/requests/?status=FAILED")
    expect(page).to_have_url(re.compile(r"/sign-in/\?next=%2Frequests%2F"))


def test_a_server_is_added_and_a_wrong_one_is_explained(page, eyes):
    eyes.forgive("status of 422")
    page.goto("/runtimes/")
    add = page.get_by_role("region", name="Add a server")
    add.get_by_label("Name").fill("Not a name")
    add.get_by_label("Address").fill("http://127.0.0.1:9/v1")
    add.get_by_role("button", name="Add server").click()
    expect(page.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".err").first).to_be_in_viewport()

    page.get_by_label("Name").fill("workshop")
    page.get_by_role("button", name="Add server").click()
    expect(page.locator("#runtime-workshop")).to_be_visible()


def test_the_menu_opens_on_a_phone(eyes, owner):
    page = eyes.open(
        java_script_enabled=False,
        storage_state=owner,
        viewport={"width": 390, "height": 844},
    )
    page.goto("/")
    expect(page.locator("#rail")).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    page.locator("#rail").get_by_role("link", name="Operations").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Operations")
