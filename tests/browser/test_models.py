"""A model's life as two people see it: from the install to the place it leaves."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.test_live import is_live
from tests.embedded.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.slow]

CONTROL = "/__practice__/models"
DOOR = "/__practice__/state"
# What the browser says of an answer that is a refusal.
REFUSED = "status of 422"
LONG_MS = 90_000

# Every figure of bytes that a row of the list showed, in order.
KEEP_FIGURES = """(pk) => {
  const figures = window.figures = [];
  const look = () => {
    const row = document.getElementById(`operation-${pk}`);
    const found = row?.textContent.match(/([\\d.]+ )(?:MB )?of [\\d.]+ MB/);
    if (found && figures.at(-1) !== +found[1]) figures.push(+found[1]);
  };
  new MutationObserver(look).observe(document.body,
    { subtree: true, childList: true, characterData: true });
  window.stamp = Math.random();
}"""

# Has the list fetched again and waits until its answer was dealt with.
FETCH_AGAIN = """() => new Promise((done) => {
  const list = document.getElementById("model-list");
  list.addEventListener("htmx:afterRequest", () => setTimeout(done, 100));
  htmx.trigger(list, "venom:refresh");
})"""


def row_of(page, name):
    """The row of an installed model in the list."""
    return page.locator("#model-list [role=row]").filter(
        has=page.get_by_role("rowheader").get_by_role("link", name=name, exact=True)
    )


def press_in_menu(page, name, verb):
    row = row_of(page, name)
    row.get_by_label(f"More for {name}").click()
    row.get_by_role("button", name=f"{verb} {name}", exact=True).click()


def start_install(page, name):
    """As a person does, by the dialog that checks first."""
    page.get_by_role("link", name="Install model").click()
    dialog = page.get_by_role("dialog", name="Install a model")
    expect(dialog.get_by_label("Model", exact=True)).to_be_focused()
    page.keyboard.type(name)
    dialog.get_by_role("button", name="Check").click()
    expect(dialog.get_by_role("status")).to_contain_text("can be installed")
    button = page.locator("#install-button")
    expect(button).to_contain_text("Install 815 MB")
    button.click()


def running_install(house, program, name):
    answer = program.get("/api/v1/models/operations?type=install&limit=5").json()
    return next(
        row["operation_id"] for row in answer["operations"] if row["model_name"] == name
    )


@pytest.fixture
def ensure(house, program):
    """ensure("phi3:mini") → it is installed, seen by Venom, and nothing else runs."""

    def make(*names: str) -> None:
        for name in names:
            body = {"provider": "ollama", "name": name, "wait_seconds": 60}
            answer = program.post("/api/v1/models/install", json=body, timeout=70)
            assert answer.status_code == 202, answer.text

    return make


def test_two_people_watch_one_download_and_its_model_appears(
    house, program, open_as_owner
):
    here, there = open_as_owner("/models/"), open_as_owner("/models/")
    is_live(there)
    expect(row_of(there, "gemma3:1b")).to_have_count(0)

    start_install(here, "gemma3:1b")
    here.goto("/models/")
    pk = running_install(house, program, "gemma3:1b")
    for page in (here, there):
        expect(page.locator(f"#operation-{pk}")).to_be_visible()
        page.evaluate(KEEP_FIGURES, pk)
    for page in (here, there):
        expect(row_of(page, "gemma3:1b")).to_be_visible(timeout=LONG_MS)
        expect(row_of(page, "gemma3:1b")).to_contain_text("815 MB")

    for page in (here, there):
        figures = page.evaluate("window.figures")
        assert len(figures) >= 5, figures
        assert figures == sorted(figures)
        assert page.evaluate("window.stamp"), "nobody had to reload"


def test_a_model_is_made_active_from_its_row_and_everybody_sees_it(
    open_as_owner, ensure
):
    ensure("qwen3:0.6b")
    here, there = open_as_owner("/models/"), open_as_owner("/models/")
    is_live(there)

    row_of(here, "qwen3:0.6b").get_by_role("link", name="Activate qwen3:0.6b").click()
    expect(here.get_by_role("heading", level=1)).to_contain_text("qwen3:0.6b")
    here.get_by_role("button", name="Activate now").click()
    here.wait_for_url(re.compile(r"/operations/[0-9a-f-]{36}/"))
    expect(here.locator(".op").first).to_have_attribute(
        "data-status", "completed", timeout=30_000
    )

    for page in (here, there):
        expect(page.locator("#chip")).to_contain_text("qwen3:0.6b")
    expect(row_of(there, "qwen3:0.6b")).to_contain_text("Active")
    expect(row_of(there, "qwen3:0.6b")).to_have_class(re.compile(r"\bon\b"))


def test_memory_is_taken_and_freed_from_the_row(house, open_as_owner, ensure):
    ensure("phi3:mini")
    here, there = open_as_owner("/models/"), open_as_owner("/models/")
    is_live(there)

    press_in_menu(here, "phi3:mini", "Load")
    expect(row_of(there, "phi3:mini")).to_contain_text("Loaded", timeout=20_000)
    expect(row_of(there, "phi3:mini")).to_contain_text(re.compile(r"\d:\d\d"))

    here.reload()
    press_in_menu(here, "phi3:mini", "Unload")
    expect(row_of(there, "phi3:mini")).not_to_contain_text("Loaded", timeout=20_000)
    assert "phi3:mini" not in state_of(house)["loaded"]


@pytest.fixture
def hold():
    """hold(page, "**/pin/") → the requests to it, each waiting for `continue_()`."""

    def make(page, address):
        held = []
        page.route(address, lambda route: held.append(route))
        return held

    return make


def test_a_row_waits_for_its_answer_before_it_is_fetched_again(
    open_as_owner, ensure, hold
):
    ensure("phi3:mini")
    page = open_as_owner("/models/")
    is_live(page)
    held = hold(page, "**/runtimes/memory/pin/")
    press_in_menu(page, "phi3:mini", "Pin")
    row_of(page, "phi3:mini").evaluate("row => { row.dataset.old = 'yes'; }")

    page.evaluate(FETCH_AGAIN)
    expect(page.locator("[data-old]")).to_have_count(1)
    held[0].continue_()

    expect(page.locator("#toasts")).to_contain_text("is pinned")
    expect(page.locator("[data-old]")).to_have_count(0)
    expect(row_of(page, "phi3:mini")).to_contain_text("pinned")
    page.unroute("**/runtimes/memory/pin/")
    press_in_menu(page, "phi3:mini", "Unpin")
    expect(row_of(page, "phi3:mini")).not_to_contain_text("pinned")


def test_an_older_list_does_not_undo_what_was_answered_meanwhile(open_as_owner, ensure):
    """The toast said “pinned”, the row did not: a list fetched before came after."""
    ensure("phi3:mini")
    page = open_as_owner("/models/")
    is_live(page)
    page.wait_for_timeout(500)  # the list is fetched once when the socket opens
    held = []
    page.route("**/models/", lambda route: held.append(route), times=1)
    page.evaluate("htmx.trigger('#model-list', 'venom:refresh')")
    wait_until(lambda: page.wait_for_timeout(50) or bool(held), seconds=20)
    older = held[0].fetch()

    press_in_menu(page, "phi3:mini", "Pin")
    expect(page.locator("#toasts")).to_contain_text("is pinned")
    held[0].fulfill(response=older)

    page.wait_for_timeout(300)
    expect(row_of(page, "phi3:mini")).to_contain_text("pinned")
    press_in_menu(page, "phi3:mini", "Unpin")
    expect(row_of(page, "phi3:mini")).not_to_contain_text("pinned")


def test_two_buttons_of_one_card_are_both_answered(open_as_owner, ensure, hold):
    """The first answer brings the card anew, without the form that still waits."""
    ensure("phi3:mini", "qwen3:0.6b")
    page = open_as_owner("/runtimes/")
    is_live(page)
    card = page.locator("#runtime-ollama")
    held = hold(page, "**/runtimes/memory/*/")

    for name in ("phi3:mini", "qwen3:0.6b"):  # Load or Unload, as they are
        card.get_by_role("button", name=f"load: {name}").click()
    wait_until(lambda: page.wait_for_timeout(50) or len(held) == 2, seconds=5)
    held[1].continue_()
    expect(page.locator("#toasts")).to_contain_text("oad qwen3:0.6b")
    held[0].continue_()

    expect(page.locator("#toasts")).to_contain_text("oad phi3:mini")


def test_a_filter_says_what_it_found_and_is_taken_back_by_its_chip(
    open_as_owner, ensure
):
    ensure("phi3:mini")
    page = open_as_owner("/models/")
    is_live(page)
    shown = page.locator("#model-list [role=rowheader]")

    page.get_by_label("Part of a name").fill("phi3")
    page.get_by_label("Part of a name").press("Enter")
    expect(shown).to_have_text([re.compile("^phi3:mini")])
    expect(page.locator("#live-status")).to_have_text("1 model · “phi3”")
    page.get_by_label("State").select_option("Broken")
    expect(page.get_by_text("No installed model matches")).to_be_visible()
    expect(page).to_have_url(re.compile("q=phi3.*state=broken"))

    page.get_by_role("link", name="Remove the filter Broken").click()
    expect(shown).to_have_text([re.compile("^phi3:mini")])
    expect(page.get_by_label("State")).to_have_value("")
    expect(page.get_by_label("Part of a name")).to_have_value("phi3")


def test_the_install_dialog_leaves_the_list_as_it_was(open_as_owner):
    page = open_as_owner("/models/?state=installed")
    page.get_by_role("link", name="Install model").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Model", exact=True).fill("gemma3:12b")
    dialog.get_by_role("button", name="Check").click()
    expect(dialog.locator("#install-button")).to_be_visible()
    page.keyboard.press("Escape")

    expect(dialog).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/models/\?state=installed$"))
    expect(page.get_by_role("link", name="Install model")).to_be_focused()


def test_a_removal_is_undone_and_then_done(house, open_as_owner, ensure):
    ensure("gemma3:270m")
    here, there = open_as_owner("/models/"), open_as_owner("/models/")
    is_live(here)
    is_live(there)

    press_in_menu(here, "gemma3:270m", "Remove")
    for page in (here, there):
        expect(row_of(page, "gemma3:270m")).to_contain_text("Removing in")
    row_of(there, "gemma3:270m").get_by_role("button", name="Undo").click()
    for page in (here, there):
        expect(row_of(page, "gemma3:270m")).to_contain_text("Installed")
    assert "gemma3:270m" in state_of(house)["models"]

    press_in_menu(here, "gemma3:270m", "Remove")
    for page in (here, there):
        expect(row_of(page, "gemma3:270m")).to_have_count(0, timeout=40_000)
    assert "gemma3:270m" not in state_of(house)["models"]


def test_the_active_model_is_locked_with_the_reason(program, open_as_owner, ensure):
    ensure("qwen3:0.6b")
    body = {"name": "qwen3:0.6b", "runtime": "ollama", "wait_seconds": 60}
    program.post("/api/v1/models/activate", json=body, timeout=70)
    page = open_as_owner("/models/ollama/qwen3:0.6b/")

    locked = page.get_by_role("button", name="Remove qwen3:0.6b")

    expect(locked).to_have_attribute("aria-disabled", "true")
    expect(page.locator("#removal-reason")).to_contain_text("model_active")


@pytest.mark.parametrize("name", ["../etc/passwd", "two words", "zażółć:1b"])
def test_a_name_that_cannot_be_is_explained_at_its_field(name, open_as_owner, eyes):
    eyes.forgive(REFUSED)
    page = open_as_owner("/models/install/")
    page.get_by_label("Model", exact=True).fill(name)
    page.get_by_role("button", name="Check").click()

    field = page.get_by_label("Model", exact=True)
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_value(name)
    expect(page.locator("#install-button")).to_have_count(0)


def test_a_large_one_is_not_started_by_a_click_alone(open_as_owner, program):
    """It waits for a tick, or says what it lacks: whichever, nothing begins."""
    page = open_as_owner("/models/install/?name=llama3.3:70b")
    expect(page.locator("#install-check")).to_contain_text("42.5 GB")

    page.locator("#install-check footer button").click(force=True)

    expect(page).to_have_url(re.compile("llama3.3"))
    answer = program.get("/api/v1/models/operations?type=install&limit=50").json()
    assert "llama3.3:70b" not in {row["model_name"] for row in answer["operations"]}


def state_of(house):
    """What the practice Ollama says of itself."""
    return httpx.get(house.neighbour() + DOOR, trust_env=False).json()


@pytest.fixture
def emptied(house):
    """Somebody removed every model by Ollama's own program, and brings them back."""
    names = state_of(house)["models"]
    address = house.neighbour() + CONTROL
    httpx.post(address, json={"remove": names}, trust_env=False)
    yield names
    httpx.post(address, json={"add": names}, trust_env=False)


def test_an_empty_machine_offers_what_fits(emptied, open_as_owner):
    page = open_as_owner("/models/")

    expect(page.get_by_text("No models on this machine.")).to_be_visible(timeout=30_000)
    offer = page.locator("#model-list .empty a.p")
    expect(offer).to_contain_text(re.compile(r"Install gemma3:\w+ \([\d.]+ [GM]B\)"))
    offer.click()
    expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("gemma3:"))


def test_what_the_vendors_own_program_brings_and_takes_is_seen(house, open_as_owner):
    page = open_as_owner("/models/")
    is_live(page)
    address = house.neighbour() + CONTROL

    httpx.post(address, json={"add": ["practice-tiny"]}, trust_env=False)
    expect(row_of(page, "practice-tiny:latest")).to_be_visible(timeout=30_000)

    httpx.post(address, json={"remove": ["practice-tiny"]}, trust_env=False)
    expect(row_of(page, "practice-tiny:latest")).to_have_count(0, timeout=30_000)
