"""The list of requests while requests come: nothing jumps, everything is told."""

from __future__ import annotations

import json
import re
import threading

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.sights import COMPLETIONS, FAULTS, activate, ask
from tests.browser.test_live import is_live

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.slow]

MODEL = "gemma3:4b"
POLL_MS = 10_000  # the page looks for running requests every 5 s


@pytest.fixture(scope="module")
def caller(house, program):
    activate(program)
    made = house.manage("create_api_key", "reader", "--scope", "inference", "--json")
    headers = {"Authorization": f"Bearer {json.loads(made)['key']}"}
    with httpx.Client(base_url=house.url, headers=headers, trust_env=False) as client:
        assert ask(client, MODEL)[0] == 200
        yield client


def test_new_rows_are_counted_and_shown_when_asked_for(open_as_owner, caller):
    page = open_as_owner("/requests/")
    is_live(page)
    first = page.locator("#request-list tbody tr").first
    before = first.get_attribute("id")

    pk = ask(caller, MODEL)[1]

    news = page.get_by_role("link", name="New row: 1")
    expect(news).to_be_visible()
    assert first.get_attribute("id") == before
    news.click()
    expect(first).to_have_attribute("id", f"request-{pk}")
    expect(news).to_have_count(0)
    assert page.url.endswith("/requests/")


def test_a_running_request_stands_on_top_with_a_clock_that_goes(
    open_as_owner, house, caller
):
    page = open_as_owner("/requests/")
    is_live(page)
    fault = {"path": COMPLETIONS, "fault": "slow_headers:12", "times": 1}
    httpx.post(house.neighbour() + FAULTS, json=fault, trust_env=False)
    asking = threading.Thread(target=ask, args=(caller, f"ollama/{MODEL}"))
    asking.start()
    try:
        clock = page.locator("#request-running time[data-since]")
        expect(clock).to_be_visible(timeout=POLL_MS)
        seen = clock.inner_text()
        expect(clock).not_to_have_text(seen)
        expect(clock).to_have_count(0, timeout=2 * POLL_MS)  # it ended
        expect(page.locator("#show-news")).to_be_visible()
    finally:
        asking.join()


def test_the_saved_views_and_the_form_lead_to_an_address(open_as_owner, caller):
    page = open_as_owner("/requests/")
    page.get_by_role("link", name="Errors").click()
    expect(page).to_have_url(re.compile(r"/requests/\?status=FAILED$"))
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Provider").fill("ollama")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_label("Remove the filter Provider: ollama")).to_be_visible()
    expect(page.get_by_label("Remove the filter Failed")).to_be_visible()
    page.get_by_role("link", name="Clear").click()
    expect(page).to_have_url(re.compile(r"/requests/$"))
