"""A server fails: the banner is on an open page by itself, and goes by itself."""

from __future__ import annotations

import json
import re
import time

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.eyes import PHONE
from tests.browser.sights import COMPLETIONS, FAULTS, activate, ask
from tests.browser.test_live import is_live
from tests.browser.test_pages import grave_findings, sideways

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.slow]

MODEL = "gemma3:4b"
ASKED = f"ollama/{MODEL}"  # a forced server: nobody else may answer in its place
SAID = f"answered 404 for {MODEL}."
MOST_SECONDS = 3.0  # the promise is 1; the machine of the tests is shared


@pytest.fixture(scope="module")
def caller(house, program):
    """A program that asks for the active model."""
    activate(program)
    made = house.manage("create_api_key", "alarm", "--scope", "inference", "--json")
    key = json.loads(made)["key"]
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=house.url, headers=headers, trust_env=False) as client:
        yield client


@pytest.fixture
def fail(house, caller):
    """fail() → the next request finds its model gone from the server."""

    def once() -> None:
        fault = {"path": COMPLETIONS, "fault": "status:404", "times": 1}
        httpx.post(house.neighbour() + FAULTS, json=fault, trust_env=False)
        assert ask(caller, ASKED)[0] == 404

    return once


@pytest.fixture(autouse=True)
def _all_well(program):
    """Before too: other files share the house, and one model's trouble is one alert
    whatever its status was."""
    _close_all(program)
    yield
    _close_all(program)


def _close_all(program):
    for alert in program.get("/api/v1/alerts").json()["alerts"]:
        program.post(f"/api/v1/alerts/{alert['id']}/close", json={})


def test_the_banner_comes_to_an_open_page_and_goes_with_a_good_answer(
    open_as_owner, fail, caller, record_property
):
    page = open_as_owner("/help/")
    is_live(page)
    banner = page.locator("#alerts .banner", has_text=SAID)
    expect(banner).to_have_count(0)

    fail()
    began = time.monotonic()
    expect(banner).to_be_visible()
    seconds = time.monotonic() - began

    record_property("failure to open page, s", round(seconds, 2))
    print(f"failure to open page: {seconds * 1000:.0f} ms")
    assert seconds < MOST_SECONDS
    expect(banner).to_contain_text("1 request failed there since")
    expect(page.locator("#nav-alerts")).to_contain_text("1")
    expect(page.locator("#live-status")).to_contain_text(SAID)
    expect(page.locator("link[rel=icon]")).to_have_attribute("href", has("alert"))
    fail()
    expect(banner).to_contain_text("2 requests failed there since")

    assert ask(caller, ASKED)[0] == 200
    expect(banner).to_have_count(0)
    expect(page.locator("#nav-alerts")).to_be_empty()
    expect(page.locator("link[rel=icon]")).not_to_have_attribute("href", has("alert"))


def test_a_reason_that_is_being_typed_outlives_repeats_and_silences(
    open_as_owner, fail
):
    page = open_as_owner("/alerts/")
    is_live(page)
    fail()
    row = page.locator("#alert-list li", has_text=SAID)
    row.get_by_text("Silence 1 h…").click()
    reason = row.get_by_label("Why")
    reason.press_sequentially("new ")
    fail()
    expect(row).to_contain_text("2 times in")
    expect(reason).to_be_focused()
    page.keyboard.type("disk")

    row.get_by_role("button", name="Silence for 1 h").click()

    expect(row).to_contain_text("Silenced by owner: new disk")
    expect(page.locator("#alerts .banner")).to_have_count(0)
    expect(page.locator("#alert-summary")).to_contain_text("1 silenced")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["wide", "phone"])
def test_banner_and_page_are_readable_for_all(open_as_owner, fail, scheme, size):
    view = {"viewport": PHONE} if size == "phone" else {}
    fail()
    page = open_as_owner("/alerts/", color_scheme=scheme, **view)
    is_live(page)
    expect(page.locator("#alerts .banner")).to_be_visible()
    expect(page.locator("#alert-list li")).to_be_visible()
    assert grave_findings(page) == []
    assert sideways(page) == 0


def has(word):
    return re.compile(word)
