"""The practice news are checked against what was seen of the real feed and papers."""

import json
import re
from datetime import UTC, datetime
from html import unescape

import httpx
import pytest

from tests.fakes.news import FEED, PAPERS, TRICKS

pytest_plugins = ("tests.fakes.fixtures",)
NOW = datetime.now(UTC)


@pytest.fixture
def http(practice_news):
    with httpx.Client(base_url=practice_news.url, timeout=10) as http:
        yield http


def test_the_feed_is_rss_whose_items_have_four_fields_and_no_more(http):
    text = http.get(FEED).text
    assert '<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom">' in text
    items = re.findall("<item>(.*?)</item>", text)
    assert len(items) == 40
    for item in items:
        assert re.findall("<([a-zA-Z]+)[ >]", item.replace("<![CDATA[", "")) == [
            *("title", "pubDate", "link", "guid"),
        ]
        assert re.search(r"<pubDate>\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT<", item)
        link = re.search("<link>(.*?)</link>", item)[1]
        assert f'<guid isPermaLink="false">{link}</guid>' in item


def test_papers_have_the_keys_of_the_real_ones(http):
    answer = http.get(PAPERS, params={"month": "2026-07", "limit": 100})
    items = answer.json()
    assert len(items) == 92
    for item in items:
        assert {"paper", "publishedAt", "title", "summary", "numComments"} <= set(item)
        paper = item["paper"]
        assert re.fullmatch(r"2607\.\d{5}", paper["id"])
        assert paper["publishedAt"] < paper["submittedOnDailyAt"]
        assert all({"_id", "name", "hidden"} == set(a) for a in paper["authors"])
    assert any("ai_summary" in item["paper"] for item in items)
    assert not all("ai_summary" in item["paper"] for item in items)


def test_lists_come_in_pages_of_fifty_and_by_votes_on_wish(http):
    first = http.get(PAPERS, params={"month": "2026-07"}).json()
    second = http.get(PAPERS, params={"month": "2026-07", "p": 1}).json()
    assert (len(first), len(second)) == (50, 42)
    trending = http.get(PAPERS, params={"month": "2026-07", "sort": "trending"}).json()
    votes = [item["paper"]["upvotes"] for item in trending]
    assert votes == sorted(votes, reverse=True)


@pytest.mark.parametrize("month", ["2026-13", "26-01", "x", f"{NOW.year + 1}-01"])
def test_a_bad_or_future_month_is_400(http, month):
    answer = http.get(PAPERS, params={"month": month})
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]


def test_the_page_of_a_month_carries_the_same_list_as_escaped_json(http):
    page = http.get("/papers/month/2026-07").text
    marked = r'data-target="DailyPapers" data-props="([^"]*)"'
    props = json.loads(unescape(re.search(marked, page)[1]))
    assert (props["periodType"], props["dateString"]) == ("month", "2026-07")
    listed = http.get(PAPERS, params={"month": "2026-07", "limit": 100}).json()
    assert props["dailyPapers"] == listed


def test_every_answer_says_what_is_left_of_its_bucket(http, practice_news):
    for path in (FEED, PAPERS, "/papers/month/2026-07"):
        assert re.match(
            r'"(api|pages)";r=\d+;t=\d+', http.get(path).headers["RateLimit"]
        )
    practice_news.state.faults.plan(PAPERS, "status:429")
    refused = http.get(PAPERS)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "120")
    assert '"api";r=0;' in refused.headers["RateLimit"]


def test_every_trick_changes_an_answer(http, practice_news):
    whole = [http.get(path) for path in (FEED, PAPERS)]
    for trick in TRICKS:
        practice_news.state.trick = trick
        played = [http.get(path) for path in (FEED, PAPERS)]
        assert any(
            (a.status_code, a.content) != (b.status_code, b.content)
            for a, b in zip(whole, played, strict=True)
        ), trick
    practice_news.state.trick = "huge"
    assert len(http.get(FEED).content) > 8_000_000
    assert len(http.get(PAPERS).content) > 8 << 20


def test_a_link_of_the_demo_leads_somewhere(http):
    link = re.search("<link>(http[^<]*practice/[^<]*)</link>", http.get(FEED).text)[1]
    assert httpx.get(link).status_code == 200
