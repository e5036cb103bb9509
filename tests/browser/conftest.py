"""A house with practice neighbours and a browser in front of it.

The house is `manage.py up --demo`, started once for the whole leg as a user would and
stopped by Ctrl-C at its end; the browser is Chromium, driven by playwright. These tests
speak HTTP only: they never touch the house's database.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.demo import PASSWORD, DemoHouse
from tests.browser.eyes import Eyes

FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    found = os.environ.get("VENOM_CHROMIUM") or shutil.which("chromium")
    if not found:
        pytest.skip("no Chromium: install it or name it with VENOM_CHROMIUM")
    as_root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=[*FLAGS, *as_root]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def house(chromium) -> Iterator[DemoHouse]:
    """The product with its neighbours; nothing of it may be left at the end."""
    with DemoHouse() as house:
        house.wait_for_runtimes()
        yield house
        assert house.stop() == []
        assert "Stopped." in house.log.read_text()


@pytest.fixture(scope="session")
def owner(chromium, house) -> dict:
    return become_owner(chromium, house)


def become_owner(chromium: Browser, house: DemoHouse) -> dict[str, object]:
    """The cookies of the owner, who came by the printed link and chose a password."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(house.sign_in_link())
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Sign in as the owner").click()
    page.wait_for_url(f"{house.url}/")
    state = context.storage_state()
    context.close()
    return dict(state)


@pytest.fixture
def eyes(chromium, house) -> Iterator[Eyes]:
    """eyes.open() → a page; at the end nobody may have seen anything wrong."""
    eyes = Eyes(chromium, house.url)
    yield eyes
    eyes.close()
    assert eyes.faults == []


@pytest.fixture
def open_as_owner(eyes, owner):
    """open_as_owner("/operations/", color_scheme="dark") → a page of the owner."""

    def open_page(path: str = "/", **choices):
        page = eyes.open(storage_state=owner, **choices)
        page.goto(path)
        return page

    return open_page


@pytest.fixture(scope="session")
def program(house):
    """A program with a key that may operate."""
    client = house.client()
    yield client
    client.close()
