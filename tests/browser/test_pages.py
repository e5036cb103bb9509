"""Every page in every dress: reachable for all, never sideways, light on the wire."""

from __future__ import annotations

from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.eyes import PHONE, WIDE
from tests.browser.sights import ADMIN, OUTSIDE, SIGHTS, furnish

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.slow]

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
# Preloading would make axe itself break the policy, with styles of its own.
AXE_OPTIONS = "{preload: false, resultTypes: ['violations']}"
GRAVE = ("serious", "critical")
DRESSES = {
    "light": {"viewport": WIDE, "color_scheme": "light"},
    "dark": {"viewport": WIDE, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light"},
    "dark phone": {"viewport": PHONE, "color_scheme": "dark"},
}
EACH_TIME = ("light", "phone")
# What some sights are about; every other page answers 200.
EXPECTED = {"not found": 404, "link used": 410}
SAID = tuple(f"status of {status}" for status in EXPECTED.values())

FIRST_LOAD_BYTES = 100_000
FIRST_LOAD_REQUESTS = 10
LATER_BYTES = 20_000


@pytest.fixture(scope="session")
def furnished(house, program):
    return furnish(house, program)


def dresses():
    return [
        pytest.param(name, marks=() if name in EACH_TIME else pytest.mark.deep)
        for name in DRESSES
    ]


def settle(page: Page) -> None:
    """Until the socket is there and what it asks to be fetched again has come."""
    if page.locator("#live").count():
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
    page.wait_for_load_state("networkidle")


def grave_findings(page: Page) -> list[str]:
    page.evaluate(AXE)
    found = page.evaluate(f"axe.run(document, {AXE_OPTIONS})")
    return [
        f"{finding['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
        for finding in found["violations"]
        if finding["impact"] in GRAVE
        for node in finding["nodes"]
    ]


def sideways(page: Page) -> int:
    return page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


def look_at(page: Page, paths: dict[str, str], made: dict[str, str]) -> list[str]:
    """What is wrong on any of these pages, each with its name."""
    faults = []
    for name, path in paths.items():
        status = page.goto(path.format(**made)).status
        assert status == EXPECTED.get(name, 200), name
        settle(page)
        faults += [f"{name}: {finding}" for finding in grave_findings(page)]
        if page.locator("h1").count() != 1:
            faults.append(f"{name}: {page.locator('h1').count()} first headings")
        if page.viewport_size == PHONE:
            faults += sideways_faults(page, name)
        elif not name.startswith("admin") and (more := sideways(page)) > 0:
            faults.append(f"{name}: {more} px too wide")
    return faults


def sideways_faults(page: Page, name: str) -> list[str]:
    faults = []
    for width in (320, PHONE["width"]):
        page.set_viewport_size({"width": width, "height": PHONE["height"]})
        if (more := sideways(page)) > 0:
            faults.append(f"{name}: {more} px too wide at {width} px")
    return faults


@pytest.mark.parametrize("dress", dresses())
def test_every_page_can_be_used_by_everybody(dress, open_as_owner, furnished, eyes):
    eyes.forgive(*SAID)
    page = open_as_owner(**DRESSES[dress])

    assert look_at(page, SIGHTS, furnished) == []


@pytest.mark.parametrize("dress", dresses())
def test_every_page_before_signing_in_can_be_used_by_everybody(dress, eyes):
    eyes.forgive(*SAID)
    page = eyes.open(**DRESSES[dress])

    assert look_at(page, OUTSIDE, {}) == []


@pytest.mark.parametrize("dress", dresses())
def test_the_admin_can_be_used_by_everybody(dress, open_as_owner, furnished):
    page = open_as_owner(**DRESSES[dress])

    assert look_at(page, ADMIN, furnished) == []


def outside(page: Page, part: Locator) -> list[str]:
    """Nothing that opened may reach beyond the edges: there it cannot be scrolled."""
    box = part.bounding_box()
    width = page.viewport_size["width"]
    fits = box["x"] >= 0 and box["x"] + box["width"] <= width
    return [] if fits else [f"from {box['x']}, {box['width']} px wide, on {width}"]


def test_what_opens_is_as_usable_as_what_is_open(open_as_owner, furnished):
    """Menus, the dialog of shortcuts and the rail, on a phone."""
    page = open_as_owner("/operations/", **DRESSES["phone"])
    settle(page)
    page.get_by_text("Run a self-test…").click()
    faults = outside(page, page.locator(".head .menu form"))
    faults += grave_findings(page) + sideways_faults(page, "self-test")
    page.get_by_label("Account of owner").click()
    faults += outside(page, page.locator(".top .menu > div"))
    faults += grave_findings(page) + sideways_faults(page, "account")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Menu").click()
    faults += grave_findings(page)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    faults += grave_findings(page) + sideways_faults(page, "shortcuts")
    assert faults == []


@pytest.mark.parametrize("dress", ["phone", "dark"])
def test_the_install_dialog_is_as_usable_as_its_page(dress, open_as_owner, furnished):
    page = open_as_owner("/models/", **DRESSES[dress])
    settle(page)
    page.get_by_role("link", name="Install model").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Model", exact=True).fill("gemma3:270m")
    dialog.get_by_role("button", name="Check").click()
    expect(dialog.locator("#install-check")).to_be_visible()

    faults = outside(page, dialog) + grave_findings(page)
    assert faults + sideways_faults(page, "install dialog") == []


def test_the_first_stop_of_the_keyboard_skips_to_the_content(open_as_owner, furnished):
    page = open_as_owner()
    skip = page.locator(":focus")
    for name in set(SIGHTS) - set(EXPECTED):
        page.goto(SIGHTS[name].format(**furnished))
        page.keyboard.press("Tab")
        expect(skip, name).to_have_text("Skip to content")
        expect(skip, name).to_be_in_viewport()
    skip.press("Enter")
    expect(page.locator("#main")).to_be_focused()


class Scales:
    """Counts the bytes that really crossed the wire for one page."""

    def __init__(self, page: Page) -> None:
        self.requests: list[str] = []
        self.bytes = 0
        self._cached: set[str] = set()
        wire = page.context.new_cdp_session(page)
        wire.send("Network.enable")
        wire.on("Network.requestServedFromCache", self._from_cache)
        wire.on("Network.responseReceived", self._received)
        wire.on("Network.loadingFinished", self._finished)

    def clear(self) -> None:
        self.requests.clear()
        self.bytes = 0

    def _from_cache(self, event) -> None:
        self._cached.add(event["requestId"])

    def _received(self, event) -> None:
        response = event["response"]
        if response.get("fromDiskCache"):
            self._cached.add(event["requestId"])
        elif event["requestId"] not in self._cached:
            self.requests.append(response["url"])

    def _finished(self, event) -> None:
        if event["requestId"] not in self._cached:
            self.bytes += int(event["encodedDataLength"])


def weighed(page: Page, scales: Scales, path: str) -> tuple[int, list[str]]:
    scales.clear()
    page.goto(path)
    settle(page)
    return scales.bytes, list(scales.requests)


@pytest.mark.parametrize("name", ["overview", "models", "operations", "api"])
def test_the_first_page_is_light(name, eyes, owner, furnished):
    page = eyes.open(storage_state=owner)

    size, requests = weighed(page, Scales(page), SIGHTS[name])

    print(f"first load of {name}: {size} bytes, {len(requests)} requests")
    assert size <= FIRST_LOAD_BYTES
    assert len(requests) <= FIRST_LOAD_REQUESTS, requests


def test_later_pages_are_lighter(open_as_owner, eyes, furnished):
    """What the first page brought is kept; what is fetched again live counts too."""
    eyes.forgive(*SAID)
    page = open_as_owner("/api/docs")  # the one page with a script of its own
    settle(page)
    scales = Scales(page)

    sizes = {
        name: weighed(page, scales, path.format(**furnished))[0]
        for name, path in SIGHTS.items()
    }

    print(f"later pages, bytes: {sizes}")
    assert {name: size for name, size in sizes.items() if size > LATER_BYTES} == {}
