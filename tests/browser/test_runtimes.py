"""A server's life on its pages: started, looked at, switched to, ended."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import become_owner
from tests.browser.demo import DemoHouse
from tests.browser.eyes import PHONE
from tests.embedded.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.slow]

MODEL = "practice/tiny-llama"
LONG_MS = 90_000


@pytest.fixture(scope="module")
def house(chromium):
    """One of its own: what happens here stays with its servers."""
    house = DemoHouse()
    house.environment["VENOM_RUNTIME_PROFILE"] = "full"
    with house:
        house.wait_for_runtimes()
        yield house
        assert house.stop() == []


@pytest.fixture(scope="module")
def owner(chromium, house):
    return become_owner(chromium, house)


@pytest.fixture(scope="module")
def program(house):
    with house.client() as client:
        body = {"provider": "huggingface", "name": MODEL, "wait_seconds": 60}
        answer = client.post("/api/v1/models/install", json=body, timeout=70)
        assert answer.status_code == 202, answer.text
        yield client


def is_done(page):
    row = page.locator(".op").first
    expect(row).to_have_attribute("data-status", "completed", timeout=LONG_MS)


def rests_while_hidden(page):
    """A hidden tab asks for no line; one that is seen again asks at once."""
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("""Object.defineProperty(document, "hidden",
        {configurable: true, get: () => true})""")
    page.wait_for_timeout(500)  # what was on its way
    asked.clear()
    page.wait_for_timeout(2500)
    assert not [url for url in asked if "follow=1" in url]
    with page.expect_response(re.compile("follow=1")):
        page.evaluate("delete document.hidden")


def test_a_server_is_started_read_and_stopped_from_its_pages(
    house, program, open_as_owner
):
    page = open_as_owner("/runtimes/")
    card = page.locator("#runtime-vllm")
    expect(card.locator("header")).to_contain_text("Stopped")

    card.get_by_role("link", name="Start…").click()
    dialog = page.get_by_role("dialog", name="Start vLLM")
    expect(dialog.get_by_label("With the model")).to_have_value(MODEL)
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    expect(page).to_have_url(f"{house.url}/runtimes/")

    card.get_by_role("link", name="Start…").click()
    dialog.get_by_role("button", name="Start vLLM").click()
    page.wait_for_url(re.compile(r"/operations/[0-9a-f-]{36}/"))
    is_done(page)

    page.goto("/runtimes/vllm/")
    expect(page.locator("#runtime-vllm header")).to_contain_text(
        "Online", timeout=LONG_MS
    )
    page.get_by_role("link", name="Log", exact=True).click()
    lines = page.locator("#server-log-lines")
    expect(lines).to_contain_text("Application startup complete")
    page.get_by_label("Search the log").fill("version")
    page.get_by_role("button", name="Filter").click()
    expect(lines).not_to_contain_text("Application startup complete")
    page.get_by_role("link", name="Follow").click()
    expect(page.get_by_role("link", name="Stop following")).to_be_visible()
    expect(page).to_have_url(re.compile("q=version"))
    with page.expect_response(re.compile("follow=1")):
        pass  # it is looked at again by itself
    rests_while_hidden(page)
    with page.expect_download() as kept:
        page.get_by_role("link", name="Download").click()
    assert kept.value.suggested_filename == "vllm.log"

    page.goto("/runtimes/vllm/")
    page.get_by_role("link", name="Stop…").click()
    dialog = page.get_by_role("dialog", name="Stop vLLM")
    expect(dialog).to_contain_text("What it breaks")
    dialog.get_by_role("button", name="Stop vLLM").click()
    is_done(page)
    wait_until(lambda: house.servers(program)["vllm"] == "offline", seconds=30)


def test_a_switch_is_read_as_plan_and_diff_and_taken_back_with_one_click(
    house, program, open_as_owner
):
    body = {"runtime": "ollama", "name": "gemma3:4b", "wait_seconds": 60}
    program.post("/api/v1/models/activate", json=body, timeout=70)
    page = open_as_owner("/runtimes/ollama/")
    page.get_by_role("link", name="Activate phi3:mini").click()
    dialog = page.get_by_role("dialog", name="Make phi3:mini active on Ollama")
    expect(dialog.get_by_role("table")).to_contain_text("OLLAMA_ACTIVE_MODEL")
    expect(dialog).to_contain_text("If it fails")
    dialog.get_by_label("After").select_option("qwen3:0.6b")
    other = page.get_by_role("dialog", name="Make qwen3:0.6b active on Ollama")
    expect(other).to_be_visible()
    other.get_by_role("button", name="Activate now").click()
    page.wait_for_url(re.compile(r"/operations/[0-9a-f-]{36}/"))
    is_done(page)

    page.goto("/runtimes/")
    page.get_by_role("button", name="Back to gemma3:4b").click()
    page.wait_for_url(re.compile(r"/operations/[0-9a-f-]{36}/"))
    is_done(page)
    expect(page.locator("#chip")).to_contain_text("gemma3:4b")


def test_without_a_script_a_restart_is_a_page(eyes, owner, house):
    page = eyes.open(java_script_enabled=False, storage_state=owner, viewport=PHONE)
    page.goto("/runtimes/vllm/")
    page.get_by_role("link", name="Start…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Start vLLM")
    expect(page.get_by_role("button", name="Start vLLM")).to_be_visible()
    page.get_by_role("link", name="Cancel").click()
    expect(page).to_have_url(f"{house.url}/runtimes/vllm/")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"]
