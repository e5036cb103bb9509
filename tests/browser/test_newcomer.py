"""From the printed link to one's first answered request, on a house never used."""

from __future__ import annotations

import re

import openai
import pytest
from playwright.sync_api import expect

from tests.browser.demo import PASSWORD, DemoHouse
from tests.browser.eyes import Eyes

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.slow]

MODELS = ("gemma3:4b", "qwen3:0.6b", "phi3:mini")


@pytest.fixture
def fresh(chromium):
    with DemoHouse() as fresh:
        fresh.wait_for_runtimes()
        yield fresh
        assert fresh.stop() == []


@pytest.fixture
def page(fresh, chromium):
    eyes = Eyes(chromium, fresh.url)
    yield eyes.open()
    eyes.close()
    assert eyes.faults == []


def test_a_newcomer_gets_from_the_link_to_an_answered_request(fresh, page):
    page.goto(fresh.sign_in_link())
    become_the_owner(page)
    find_the_models(page)
    activate(page, "gemma3:4b")
    ask(fresh)
    read_who_answered(page, fresh)


def become_the_owner(page):
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Sign in as the owner").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    expect(page.get_by_role("heading", name="Send the first request")).to_be_visible()
    expect(page.locator("#chip")).to_contain_text("No model active")


def find_the_models(page):
    page.get_by_role("link", name="Runtimes").first.click()
    card = page.locator("#runtime-ollama")
    expect(card.locator("header")).to_contain_text("Online")
    for model in MODELS:
        expect(card.get_by_role("row", name=model)).to_contain_text("Installed")


def activate(page, model):
    page.get_by_role("link", name=f"Activate {model}").click()
    dialog = page.get_by_role("dialog", name=f"Make {model} active on Ollama")
    expect(dialog).to_contain_text("Confirm with one real token")
    dialog.get_by_role("button", name="Activate now").click()
    page.wait_for_url(re.compile(r"/operations/[0-9a-f-]{36}/"))
    row = page.locator(".op")
    expect(row).to_have_attribute("data-status", "completed", timeout=30_000)
    expect(page.locator(".log li").last).to_contain_text("Completed.")
    expect(page.locator("#chip")).to_contain_text(model)  # without a reload
    expect(page.locator("#chip")).to_contain_text("Online")


def ask(fresh):
    key = fresh.manage("create_api_key", "bot", "--scope", "inference").strip()
    client = openai.OpenAI(base_url=f"{fresh.url}/v1", api_key=key, max_retries=0)
    answer = client.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": "Hello"}]
    )
    client.close()
    assert answer.choices[0].message.content


def read_who_answered(page, fresh):
    page.get_by_role("link", name="Requests", exact=True).first.click()
    row = page.locator("tbody tr").first
    expect(row).to_contain_text("gemma3:4b")
    expect(row).to_contain_text("ollama")
    expect(row).to_contain_text("bot")
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("gemma3:4b")
    facts = page.get_by_role("region", name="Facts")
    expect(facts).to_contain_text(fresh.neighbour())
