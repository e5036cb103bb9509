"""What could be installed, as people come by it: popular, searched for, away."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.demo import NAME, PASSWORD
from tests.browser.eyes import PHONE

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.slow]

TRENDING, CATALOG = "/models/trending/", "/models/catalog/"
FAULTS = "/__practice__/faults"
LONG_MS = 60_000


def block(page, source):
    return page.locator(f"#catalog-{source}")


def offer(page, name):
    """The row of a model of a catalogue."""
    return page.locator(".offer").filter(has=page.get_by_text(name, exact=True))


@pytest.fixture
def hub_away(house):
    """The practice hub answers 503 to everything until the test is over."""
    url = house.neighbour("HF_ENDPOINT") + FAULTS
    wish = {"path": "*", "fault": "status:503", "times": 0}
    httpx.post(url, json=wish, trust_env=False).raise_for_status()
    yield lambda: httpx.delete(url, trust_env=False).raise_for_status()
    httpx.delete(url, trust_env=False).raise_for_status()


def test_lists_come_by_themselves_and_variants_when_one_looks(open_as_owner):
    page = open_as_owner(TRENDING)

    for source in ("ollama", "huggingface"):
        shown = block(page, source)
        expect(shown.locator(".offer").first).to_be_visible(timeout=LONG_MS)
        expect(shown.locator(".fit").first).to_be_visible()
    tiny = offer(page, "practice/tiny-llama")
    tiny.get_by_text("Variants").click()
    unfolded = tiny.locator(".unfolded")
    expect(unfolded.get_by_role("link", name="Install")).to_be_visible(timeout=LONG_MS)


def test_a_model_is_installed_from_what_is_popular(open_as_owner):
    page = open_as_owner(TRENDING)
    model = offer(page, "qwen3")
    expect(model).to_be_visible(timeout=LONG_MS)
    model.get_by_text("Variants").click()
    model.get_by_role("link", name="Install qwen3:0.6b", exact=True).click()

    dialog = page.get_by_role("dialog", name="Install a model")
    expect(dialog.get_by_role("status")).to_contain_text("can be installed")
    dialog.locator("#install-button").click()

    page.wait_for_url(re.compile(r"/operations/[0-9a-f-]{36}/$"))
    expect(page.locator("h1")).to_contain_text("qwen3:0.6b")
    expect(page.locator("[data-status=completed]").first).to_be_visible(timeout=LONG_MS)
    page.goto(TRENDING)
    expect(offer(page, "qwen3").get_by_role("link", name="Installed")).to_be_visible()


def test_a_source_that_is_away_says_so_and_comes_back_by_its_button(
    open_as_owner, hub_away
):
    page = open_as_owner(f"{CATALOG}?q=llama")

    away = block(page, "huggingface")
    expect(away).to_contain_text("No connection to the source.", timeout=LONG_MS)
    expect(away.get_by_text("Offline")).to_be_visible()
    expect(away).to_contain_text("Next try")
    expect(block(page, "ollama")).not_to_contain_text("Offline")

    hub_away()  # which ends it
    page.goto(f"{CATALOG}?q=tiny")
    refresh = away.get_by_role("button", name="Refresh Hugging Face")
    refresh.click()
    expect(offer(page, "practice/tiny-llama")).to_be_visible(timeout=LONG_MS)
    expect(away.get_by_text("Offline")).to_have_count(0)
    expect(refresh).to_be_focused()


def test_hints_narrow_a_search_on_a_phone(open_as_owner):
    page = open_as_owner(f"{CATALOG}?q=tiny", viewport=PHONE)
    expect(offer(page, "practice/tiny-llama")).to_be_visible(timeout=LONG_MS)

    page.get_by_label("Name and hints").fill("tiny size:>500GB runtime:vllm")
    page.keyboard.press("Enter")

    page.wait_for_url(re.compile("size"))
    expect(block(page, "huggingface")).to_contain_text("without the hints")
    expect(block(page, "ollama")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_a_script_links_and_buttons_do_the_same(eyes):
    page = eyes.open(java_script_enabled=False)
    page.goto(f"{CATALOG}?q=practice+runtime:vllm")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    shown = block(page, "huggingface")
    expect(shown).to_contain_text("There is no copy of this list yet.")

    shown.get_by_role("link", name="Look now").click()
    expect(offer(page, "practice/tiny-llama")).to_be_visible(timeout=LONG_MS)

    shown.get_by_role("button", name="Refresh Hugging Face").click()
    expect(offer(page, "practice/tiny-llama")).to_be_visible(timeout=LONG_MS)
    expect(page.get_by_label("Name and hints")).to_have_value("practice runtime:vllm")

    tiny = offer(page, "practice/tiny-llama")
    tiny.get_by_text("Variants").click()
    tiny.get_by_role("link", name="Show the variants").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("practice/tiny-llama")
    expect(page.locator(".lines .fit")).to_be_visible()
