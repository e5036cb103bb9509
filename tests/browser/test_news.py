"""News and papers in a browser: they come by themselves and turn by month."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import expect

from venom_site.lib import months

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.slow]

LAST_MONTH = months.shifted(months.this_month(), -1)
BEFORE = months.shifted(LAST_MONTH, -1)


@pytest.fixture
def source(house):
    """The practice neighbour's faults, taken back at the end."""
    parts = urlsplit(house.neighbour("NEWS_PAPERS_URL"))
    faults = f"{parts.scheme}://{parts.netloc}/__practice__/faults"
    yield lambda path, fault: httpx.post(
        faults, json={"path": path, "fault": fault, "times": 0}
    ).raise_for_status()
    httpx.delete(faults)


def test_both_sections_fill_by_themselves_and_lead_out(open_as_owner):
    page = open_as_owner(f"/news/?month={LAST_MONTH}")
    for part, count in (("blog", 12), ("papers", 6)):
        links = page.locator(f"#news-{part} a.out")
        expect(links).to_have_count(count)
        assert links.first.get_attribute("rel") == "noreferrer nofollow noopener"

    page.reload()
    expect(page.locator("#news-blog a.out")).to_have_count(12)
    expect(page.locator("[hx-trigger=load]")).to_have_count(0)


def test_months_turn_by_the_picker_and_by_the_arrows(open_as_owner):
    page = open_as_owner(f"/news/papers/?month={LAST_MONTH}")
    expect(page.locator("#news-papers a.out")).to_have_count(25)

    page.get_by_label("Month", exact=True).select_option(BEFORE)
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile(f"month={BEFORE}"))
    number = f"{BEFORE[2:4]}{BEFORE[5:]}."
    first = page.locator("#news-papers a.out").first
    expect(first).to_have_attribute("href", re.compile(f"/papers/{number}"))

    page.get_by_role("link", name="The month after").click()
    expect(page.get_by_label("Month", exact=True)).to_have_value(LAST_MONTH)


def test_a_source_that_fails_leaves_its_copy_and_says_why(open_as_owner, source):
    month = months.shifted(BEFORE, -1)
    page = open_as_owner(f"/news/papers/?month={month}")
    papers = page.locator("#news-papers")
    expect(papers.locator("a.out")).to_have_count(25)
    source("/api/daily_papers", "status:500")

    page.wait_for_timeout(10_500)  # no source is asked twice within ten seconds
    papers.get_by_role("button", name="Refresh").click()
    expect(papers.locator(".banner")).to_contain_text("No connection to the source.")
    expect(papers.locator("a.out")).to_have_count(25)


def test_without_a_script_links_and_buttons_do_the_same(open_as_owner):
    """The link for who has no script is not drawn by a browser that is told to run
    none, so that the button is pressed."""
    page = open_as_owner("/help/", java_script_enabled=False)
    page.goto(f"/news/papers/?month={months.shifted(BEFORE, -2)}")
    page.get_by_role("button", name="Refresh").click()

    expect(page.locator("#news-papers a.out")).to_have_count(25)
    page.get_by_role("link", name="Next").click()
    expect(page.locator("#news-papers")).to_contain_text("Page 2 of")
