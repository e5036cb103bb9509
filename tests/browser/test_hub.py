"""A model of Hugging Face from the list to the disk and away again; gates; a hub away.

These tests have a house of their own: other tests install what they find missing here.
"""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import become_owner
from tests.browser.demo import DemoHouse
from tests.browser.sights import HUB_SIGHTS, furnish_hub
from tests.browser.test_catalog import FAULTS, LONG_MS, TRENDING, block, offer
from tests.browser.test_models import row_of
from tests.browser.test_pages import DRESSES, dresses, look_at

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.slow]

CONTROL = "/__practice__"
TINY, SHARDED = "practice/tiny-nosystem", "practice/sharded-12m"
GATED = "practice/tiny-gated"
INSTALL = "/models/install/"


@pytest.fixture(scope="module")
def house(chromium):
    house = DemoHouse()
    house.environment["HF_TOKEN"] = ""
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


@pytest.fixture(scope="module")
def hub(house):
    """hub("faults", …) sets the practice hub."""

    def post(door: str, **wish) -> None:
        url = f"{house.neighbour('HF_ENDPOINT')}{CONTROL}/{door}"
        httpx.post(url, json=wish, trust_env=False).raise_for_status()

    return post


@pytest.fixture
def hub_away(house, hub):
    """The practice hub answers 503 to everything until it is called or all is over."""
    url = house.neighbour("HF_ENDPOINT") + FAULTS

    def back() -> None:
        httpx.delete(url, trust_env=False).raise_for_status()

    yield lambda: hub("faults", path="*", fault="status:503", times=0) or back
    back()


@pytest.fixture
def slow_hub(hub):
    """Twelve seconds for the model in shards: long enough to be watched."""
    hub("settings", bytes_per_second=1_000_000)
    yield
    hub("settings", bytes_per_second=2_000_000)


def address(name: str) -> str:
    return f"/models/huggingface/{name}/"


def card(page, name):
    return page.get_by_role("region", name=name, exact=True)


def test_a_model_is_found_looked_at_installed_and_removed(open_as_owner, slow_hub):
    page = open_as_owner(TRENDING)
    offer(page, SHARDED).get_by_role("link", name=SHARDED, exact=True).click(
        timeout=LONG_MS
    )

    expect(page.get_by_role("heading", level=1)).to_contain_text("Not installed")
    variants = card(page, "Variants")
    expect(variants.locator(".fit")).to_contain_text("free", timeout=LONG_MS)
    expect(card(page, "At the source")).to_contain_text("mit")
    expect(card(page, "Model card")).to_contain_text("real words")
    variants.get_by_role("link", name=f"Install {SHARDED}").click()

    dialog = page.get_by_role("dialog", name="Install a model")
    expect(dialog.get_by_role("status")).to_contain_text(
        "can be installed", timeout=LONG_MS
    )
    expect(dialog).to_contain_text("Licence: mit.", timeout=LONG_MS)
    dialog.locator("#install-button").click()

    page.wait_for_url(re.compile(r"/operations/[0-9a-f-]{36}/$"), timeout=LONG_MS)
    expect(page.locator(".op progress")).to_be_visible(timeout=LONG_MS)
    expect(page.locator("[data-status=completed]").first).to_be_visible(timeout=LONG_MS)
    page.goto(address(SHARDED))
    expect(page.get_by_role("heading", level=1)).to_contain_text("Installed")
    expect(card(page, "Files")).to_contain_text("model-00003-of-00003.safetensors")
    expect(card(page, "Files")).to_contain_text("sha256")
    expect(card(page, "Fit").get_by_role("progressbar").first).to_be_visible()

    page.get_by_role("button", name=f"Remove {SHARDED}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Models")
    # It goes after the seconds of Undo.
    expect(row_of(page, SHARDED)).to_have_count(0, timeout=LONG_MS)
    page.goto(address(SHARDED))
    expect(page.get_by_role("heading", level=1)).to_contain_text("Not installed")


def test_versions_lie_side_by_side_and_have_pages_of_their_own(
    open_as_owner, hub, program
):
    install(program, TINY)
    hub("models", add=[TINY])  # the practice hub publishes other bytes under the name
    install(program, TINY)

    page = open_as_owner(address(TINY))
    versions = card(page, "Versions").get_by_role("link")
    expect(versions).to_have_count(2)
    shown = card(page, "Versions").locator("[aria-current]")
    other = card(page, "Versions").locator("li:not([aria-current])").get_by_role("link")
    title = other.get_attribute("title")
    other.click()
    page.wait_for_url(re.compile(f"revision={title}"))
    expect(shown.get_by_role("link")).to_have_attribute("title", title)


def install(program, name: str) -> None:
    body = {"provider": "huggingface", "name": name, "wait_seconds": 60}
    answer = program.post("/api/v1/models/install", json=body, timeout=70)
    assert answer.status_code == 202, answer.text


def test_a_gated_model_says_what_is_missing_and_cannot_be_pressed(open_as_owner):
    page = open_as_owner(address(GATED))
    warning = page.locator("#model-details .banner")
    expect(warning).to_contain_text("HF_TOKEN", timeout=LONG_MS)
    expect(warning).to_contain_text("accept the licence")
    expect(card(page, "At the source")).to_contain_text("gated: the token is missing")
    expect(page.get_by_role("link", name=re.compile("^Install"))).to_have_count(0)

    page.goto(f"{INSTALL}?provider=huggingface&name={GATED}")
    check = page.locator("#install-check")
    expect(check.locator(".findings .bad")).to_contain_text("HF_TOKEN")
    expect(check.locator("#install-button")).to_have_count(0)
    closed = check.get_by_role("button", name="Cannot be installed now")
    expect(closed).to_have_attribute("aria-disabled", "true")
    expect(check.locator("#finding-source")).to_contain_text("accept the licence")

    page.goto(TRENDING)
    row = offer(page, GATED)
    row.get_by_text("Variants").click(timeout=LONG_MS)
    expect(row.locator(".unfolded .banner")).to_contain_text(
        "set HF_TOKEN", timeout=LONG_MS
    )
    expect(row.locator(".unfolded").get_by_role("link", name="Install")).to_have_count(
        0
    )


def test_a_hub_that_goes_away_leaves_its_copies_and_comes_back(open_as_owner, hub_away):
    name = "practice/tiny-awq"
    page = open_as_owner(address(name))
    details = page.locator("#model-details")
    expect(card(page, "Variants").locator(".fit")).to_be_visible(timeout=LONG_MS)
    page.goto(TRENDING)
    expect(offer(page, name)).to_be_visible(timeout=LONG_MS)

    back = hub_away()
    block(page, "huggingface").get_by_role("button", name="Refresh").click()
    away = block(page, "huggingface").locator(".banner")
    expect(away).to_contain_text("Copy from", timeout=LONG_MS)
    expect(away.locator("code")).to_be_visible()
    expect(offer(page, name)).to_be_visible()

    page.goto(address(name))
    # A source is asked once in ten seconds, however often somebody presses.
    expect(details.locator(".freshness")).to_have_text(
        re.compile(r"([1-9]\d+s|\dm) ago"), timeout=LONG_MS
    )
    page.locator("#details-refresh").click()
    expect(details.locator(".freshness")).to_contain_text("copy from", timeout=LONG_MS)
    expect(card(page, "Variants").locator(".fit")).to_be_visible()
    page.goto(f"{INSTALL}?provider=huggingface&name={name}")
    # It may start all the same, for the hub may be back by then; room is kept for it.
    check = page.locator("#install-check > .findings")
    expect(check.locator(".warn")).to_contain_text("cannot be asked", timeout=LONG_MS)

    back()
    page.reload()
    expect(check.locator(".ok").first).to_contain_text(name, timeout=LONG_MS)
    expect(check.locator(".warn")).to_have_count(0)
    page.goto(address(name))
    expect(card(page, "Variants").locator(".fit")).to_be_visible()


def test_the_check_follows_the_variant_and_the_context(open_as_owner):
    page = open_as_owner(f"{INSTALL}?name=gemma3:1b")
    memory = page.locator("#install-fit .findings li").first
    expect(memory).to_contain_text("32 768 tokens", timeout=LONG_MS)

    page.get_by_label("Memory with a context of").select_option("4096")
    expect(memory).to_contain_text("4 096 tokens", timeout=LONG_MS)
    before = memory.inner_text()

    page.locator("#install-fit").get_by_role("link", name="270m").click()
    expect(page.locator("#check-title")).to_contain_text("gemma3:270m", timeout=LONG_MS)
    expect(page.locator("#install-button")).to_contain_text("Install 292 MB")
    expect(page.locator("#install-fit [aria-current]")).to_have_text("270m")
    assert memory.inner_text() != before


def test_the_check_follows_them_without_a_script_too(eyes, owner):
    page = eyes.open(java_script_enabled=False, storage_state=owner)
    page.goto("/models/ollama/gemma3:1b/?ask=1")  # as its link without a script does
    page.get_by_role("link", name="Install gemma3:1b", exact=True).click()
    memory = page.locator("#install-fit .findings li").first
    expect(memory).to_contain_text("32 768 tokens")

    page.get_by_label("Memory with a context of").select_option("4096")
    page.get_by_role("button", name="Show").click()
    expect(memory).to_contain_text("4 096 tokens")
    expect(page.locator("#install-button")).to_contain_text("Install 815 MB")

    page.locator("#install-fit").get_by_role("link", name="270m").click()
    expect(page.locator("#install-button")).to_contain_text("Install 292 MB")


@pytest.fixture(scope="module")
def hub_furnished(program):
    return furnish_hub(program)


@pytest.mark.parametrize("dress", dresses())
def test_every_page_of_the_library_can_be_used_by_everybody(
    dress, open_as_owner, hub_furnished
):
    page = open_as_owner(**DRESSES[dress])

    assert look_at(page, HUB_SIGHTS, hub_furnished) == []
