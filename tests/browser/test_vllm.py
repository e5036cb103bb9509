"""A model of Hugging Face on vLLM, in one piece; and a vLLM that fails under it."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import become_owner
from tests.browser.demo import NAME, PASSWORD, DemoHouse
from tests.browser.sights import COMPLETIONS, FAULTS, activate, ask
from tests.browser.test_catalog import CATALOG, LONG_MS, offer
from tests.browser.test_live import is_live
from tests.browser.test_models import row_of
from tests.embedded.waiting import wait_until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]

MODEL, BEFORE = "practice/sharded-12m", "gemma3:4b"
SERVED = "practice/tiny-llama"
MOST_SECONDS = 3.0  # the promise is 1; the machine of the tests is shared
SERVERS = "/api/v1/system/llm-servers"


@pytest.fixture(scope="module")
def house(chromium):
    """One of its own: its servers are started, killed and stopped here."""
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
        yield client


def is_done(page):
    row = page.locator(".op").first
    expect(row).to_have_attribute("data-status", "completed", timeout=LONG_MS)


def sign_in(page):
    page.goto("/")
    page.wait_for_url(re.compile("/sign-in/"))
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(re.compile(r"/$"))


def install(page):
    """Found in the catalogue, looked at, checked, fetched."""
    page.goto(f"{CATALOG}?q=sharded")
    found = offer(page, MODEL).get_by_role("link", name=MODEL, exact=True)
    found.click(timeout=LONG_MS)
    variants = page.get_by_role("region", name="Variants", exact=True)
    variants.get_by_role("link", name=f"Install {MODEL}").click(timeout=LONG_MS)
    dialog = page.get_by_role("dialog", name="Install a model")
    expect(dialog.get_by_role("status")).to_contain_text(
        "can be installed", timeout=LONG_MS
    )
    dialog.locator("#install-button").click()
    page.wait_for_url(re.compile(r"/operations/[0-9a-f-]{36}/$"), timeout=LONG_MS)
    expect(page.locator(".op progress")).to_be_visible(timeout=LONG_MS)
    is_done(page)


def make_active(page):
    """From the row of the list, by the dialog that says what will happen."""
    page.goto("/models/")
    row_of(page, MODEL).get_by_role("link", name=f"Activate {MODEL}").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(
        f"Make {MODEL} active on vLLM"
    )
    plan = page.locator("#activate")
    expect(plan.locator(".steps li").first).to_be_visible()
    expect(plan).to_contain_text(BEFORE)
    expect(plan).to_contain_text("If it fails")
    plan.get_by_role("button", name="Activate now").click()
    page.wait_for_url(re.compile(r"/operations/[0-9a-f-]{36}/"))
    is_done(page)


def folders(house):
    """What lies on the disk of that model."""
    return list(Path(house.folder).rglob("sharded-12m@*"))


def test_a_model_is_found_installed_activated_on_vllm_and_removed(
    house, program, owner, eyes, open_as_owner
):
    activate(program)
    here = eyes.open()
    sign_in(here)
    there = open_as_owner("/runtimes/")
    is_live(there)
    box = there.locator("#active-box")
    expect(box).to_contain_text(f"{BEFORE} · Ollama")
    there.evaluate("window.stamp = 1")

    install(here)
    [folder] = folders(house)
    assert (folder / "config.json").is_file()
    make_active(here)

    expect(box).to_contain_text(f"{MODEL} · vLLM")
    expect(box).to_contain_text("Online")
    expect(there.locator("#chip")).to_contain_text(MODEL)
    expect(there.locator("#runtime-vllm header")).to_contain_text("Online")
    assert house.servers(program)["vllm"] == "online"

    box.get_by_role("button", name=f"Back to {BEFORE}").click()
    there.wait_for_url(re.compile(r"/operations/[0-9a-f-]{36}/"))
    is_done(there)
    expect(there.locator("#chip")).to_contain_text(BEFORE)

    here.goto(f"/models/huggingface/{MODEL}/")
    here.get_by_role("button", name=f"Remove {MODEL}").click()
    expect(here.get_by_role("heading", level=1)).to_have_text("Models")
    assert folders(house) == [folder], "it can be undone for a while"
    expect(row_of(here, MODEL)).to_have_count(0, timeout=LONG_MS)
    wait_until(lambda: folders(house) == [], seconds=30)


# Faults of a vLLM that serves


@pytest.fixture(scope="module")
def served(program):
    """A model of Hugging Face that answers on vLLM."""
    body = {"provider": "huggingface", "name": SERVED, "wait_seconds": 90}
    program.post("/api/v1/models/install", json=body, timeout=100)
    start = {"model": SERVED, "wait_seconds": 90}
    answer = program.post(f"{SERVERS}/vllm/start", json=start, timeout=100)
    assert answer.json()["operation"]["status"] == "completed", answer.text
    return f"vllm/{SERVED}"


@pytest.fixture(scope="module")
def caller(house):
    made = house.manage("create_api_key", "alarm", "--scope", "inference", "--json")
    headers = {"Authorization": f"Bearer {json.loads(made)['key']}"}
    with httpx.Client(base_url=house.url, headers=headers, trust_env=False) as client:
        yield client


def vllm(program):
    rows = program.get(SERVERS).json()["servers"]
    return next(row for row in rows if row["name"] == "vllm")


def plan_fault(program, status):
    """The next request finds the name gone, or the engine broken."""
    address = vllm(program)["endpoint"].removesuffix("/v1")
    fault = {"path": COMPLETIONS, "fault": f"status:{status}", "times": 1}
    httpx.post(address + FAULTS, json=fault, trust_env=False).raise_for_status()


def banner_after(page, said, began, record_property, what):
    """The banner that came; says how long it took."""
    banner = page.locator("#alerts .banner", has_text=said)
    expect(banner.first).to_be_visible()
    seconds = time.monotonic() - began
    record_property(f"{what} to open page, s", round(seconds, 2))
    print(f"{what} to open page: {seconds * 1000:.0f} ms")
    assert seconds < MOST_SECONDS
    return banner


@pytest.mark.parametrize(
    ("status", "answered"), [(404, 404), (500, 502)], ids=["404 for the alias", "500"]
)
def test_a_refusing_vllm_is_a_banner_on_an_open_page_until_it_answers(
    status, answered, program, caller, served, open_as_owner, record_property
):
    page = open_as_owner("/help/")
    is_live(page)
    expect(page.locator("#alerts .banner")).to_have_count(0)
    plan_fault(program, status)

    began = time.monotonic()
    assert ask(caller, served)[0] == answered
    said = f"answered {status} for {SERVED}."
    banner = banner_after(page, said, began, record_property, f"HTTP {status}")

    expect(banner).to_contain_text("vLLM at 127.0.0.1:")
    banner.get_by_role("link", name="View 1 request").click()
    expect(page.locator("#request-list")).to_contain_text(SERVED)
    is_live(page)
    assert ask(caller, served)[0] == 200
    expect(page.locator("#alerts .banner")).to_have_count(0)


def test_a_killed_vllm_is_a_banner_on_an_open_page_until_it_is_back(
    program, caller, served, open_as_owner, record_property
):
    page = open_as_owner("/help/")
    is_live(page)
    expect(page.locator("#alerts .banner")).to_have_count(0)
    wait_until(lambda: vllm(program)["status"] == "online", seconds=60)

    began = time.monotonic()
    os.kill(vllm(program)["pid"], signal.SIGKILL)
    banner = banner_after(page, "crashed", began, record_property, "kill -9")

    expect(banner).to_contain_text("SIGKILL")
    expect(banner.get_by_role("link", name="Details")).to_be_visible()
    expect(page.locator("#alerts .banner")).to_have_count(0, timeout=LONG_MS)
    wait_until(lambda: vllm(program)["status"] == "online", seconds=60)
    assert ask(caller, served)[0] == 200
