"""The blog's feed and the papers of a month, as they come and as they break."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes.news import FEED, PAPERS
from tests.fakes.news_written import Written
from tests.fakes.raw import RawServer, head
from venom_site.clients.news import NewsBusy, NewsClient, PageChanged
from venom_site.clients.news_feed import read_feed
from venom_site.clients.news_papers import read_json, read_page
from venom_site.lib.errors import WireError

LAST_MONTH = f"{datetime.now(UTC).replace(day=1) - timedelta(days=1):%Y-%m}"
PAGE = f"/papers/month/{LAST_MONTH}"
HOST = "https://hub.example"


@pytest.fixture
def client(practice_news):
    return NewsClient(practice_news.url + FEED, practice_news.url + PAPERS)


def test_the_blog_is_titles_dates_and_links_newest_first(client, practice_news):
    posts = client.blog()

    assert len(posts) == 40
    assert posts[0].url.startswith(f"{practice_news.url}/blog/practice/")
    assert [post.published_at for post in posts] == sorted(
        (post.published_at for post in posts), reverse=True
    )
    assert (posts[0].summary, posts[0].authors, posts[0].lang) == ("", (), "en")
    assert posts[0].published_at.tzinfo is UTC


def test_a_title_is_text_whether_it_was_escaped_or_quoted(client, practice_news):
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    practice_news.state.extra_posts = [
        Written(title="A & B <b>bold</b>", slug="a", at=now),
        Written(title="Żółw & <i>ślimak</i>", slug="b", at=now - timedelta(days=1)),
    ]
    titles = {post.title for post in client.blog()}

    assert {"A & B bold", "Żółw & ślimak"} <= titles


def test_papers_come_from_the_json_list_with_authors_and_summary(client, practice_news):
    papers = client.papers(LAST_MONTH)
    state = practice_news.state

    assert 60 < len(papers) <= 100
    assert papers[0].url.startswith(f"{practice_news.url}/papers/")
    assert papers[0].published_at.strftime("%Y-%m") == LAST_MONTH
    assert papers[0].published_at >= papers[-1].published_at
    assert "If a < b & c, results hold." in papers[0].summary
    assert "\n" not in papers[0].summary
    assert len(papers[0].authors) == 2
    assert state.requests[PAPERS] == 1
    assert state.requests[PAGE] == 0


def test_a_hidden_author_is_not_named(client):
    assert {len(paper.authors) for paper in client.papers(LAST_MONTH)} == {2, 3, 4}


def test_a_month_without_papers_is_empty(client, practice_news):
    practice_news.state.empty_months = {LAST_MONTH}

    assert client.papers(LAST_MONTH) == ()


@pytest.mark.parametrize("fault", ["status:404", "html", "garbage", "unsupported:405"])
def test_without_the_json_list_the_page_of_the_month_is_read(
    client, practice_news, fault
):
    whole = client.papers(LAST_MONTH)
    practice_news.state.faults.plan(PAPERS, fault)

    assert client.papers(LAST_MONTH) == whole
    assert practice_news.state.requests[PAGE] == 1


@pytest.mark.parametrize("trick", ["changed", "all_gone"])
def test_papers_that_nobody_can_read_are_a_named_error(client, practice_news, trick):
    practice_news.state.trick = trick

    with pytest.raises(PageChanged) as error:
        client.papers(LAST_MONTH)
    assert error.value.permanent
    assert practice_news.state.requests[PAGE] == 1


@pytest.mark.parametrize("trick", ["changed", "bomb", "moved", "all_gone"])
def test_a_feed_that_nobody_can_read_is_a_named_error(client, practice_news, trick):
    practice_news.state.trick = trick

    with pytest.raises(PageChanged):
        client.blog()


@pytest.mark.parametrize("fault", ["html", "garbage"])
def test_what_is_no_feed_at_all_is_a_named_error(client, practice_news, fault):
    practice_news.state.faults.plan(FEED, fault)

    with pytest.raises(PageChanged, match="no feed"):
        client.blog()


def test_a_feed_without_items_is_empty(client, practice_news):
    practice_news.state.trick = "empty"

    assert client.blog() == ()


def test_a_feed_in_another_charset_than_it_says_is_read_all_the_same(
    client, practice_news
):
    practice_news.state.trick = "cp1250"

    assert len(client.blog()) == 40


def test_a_redirect_is_not_followed(client, practice_news):
    practice_news.state.trick = "moved"

    with pytest.raises(PageChanged, match="answered 302"):
        client.blog()


@pytest.mark.parametrize(("path", "ask"), [(FEED, "blog"), (PAPERS, "papers")])
def test_ten_megabytes_are_refused(client, practice_news, path, ask):
    practice_news.state.trick = "huge"

    with pytest.raises(WireError, match="larger than"):
        client.blog() if ask == "blog" else client.papers(LAST_MONTH)


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [("120", 120), ("", 60), ("soon", 60), ("99999", 3600)]
)
def test_a_source_that_is_busy_says_how_long(
    client, practice_news, retry_after, seconds
):
    practice_news.state.retry_after = retry_after
    practice_news.state.faults.plan(PAPERS, "status:429")

    with pytest.raises(NewsBusy) as error:
        client.papers(LAST_MONTH)
    assert error.value.wait_seconds == seconds
    assert practice_news.state.requests[PAGE] == 0


@pytest.mark.parametrize(
    ("fault", "is_permanent"),
    [("status:500", False), ("status:403", True), ("cut_after_tokens:1", False)],
)
def test_other_failures_say_whether_asking_again_may_help(
    client, practice_news, fault, is_permanent
):
    practice_news.state.faults.plan("*", fault, times=0)
    for ask in (client.blog, lambda: client.papers(LAST_MONTH)):
        with pytest.raises(WireError) as error:
            ask()
        assert error.value.permanent is is_permanent
        assert not isinstance(error.value, PageChanged)


def test_a_source_that_is_away_is_named(client, practice_news):
    practice_news.stop()

    with pytest.raises(WireError, match=r"Nothing answers at 127\.0") as error:
        client.blog()
    assert error.value.reason_code == "OFFLINE"


def test_an_address_of_ones_own_may_have_a_query(practice_news):
    client = NewsClient(
        f"{practice_news.url}{FEED}?lang=en", f"{practice_news.url}{PAPERS}?submitter=a"
    )

    assert client.blog()
    assert client.papers(LAST_MONTH)


def test_a_compressed_bomb_is_refused_before_it_is_large():
    body = gzip.compress(b" " * (64 << 20))
    answer = head("application/xml", len(body)).replace(
        b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"
    )
    with RawServer([answer + body]) as server:
        client = NewsClient(server.url + FEED, server.url + PAPERS)
        with pytest.raises(WireError, match="larger than 4 MiB"):
            client.blog()


ATOM = b"""<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" xml:lang="pl">
<entry><title type="html">&lt;b&gt;Nowy&lt;/b&gt; model</title>
<link href="/posts/1"/><updated>2026-03-01T10:00:00+02:00</updated>
<author><name> Ada  Kowalska </name></author><author><name>Jan</name></author>
<summary type="html">&lt;p&gt;Opis
&lt;script&gt;x()&lt;/script&gt;tu.&lt;/p&gt;</summary>
</entry></feed>"""


def test_an_atom_feed_gives_authors_summary_and_language():
    (post,) = read_feed(ATOM, "application/atom+xml", HOST)

    assert post.title == "Nowy model"
    assert post.url == f"{HOST}/posts/1"
    assert post.summary == "Opis tu."
    assert post.authors == ("Ada Kowalska", "Jan")
    assert post.published_at == datetime(2026, 3, 1, 8, tzinfo=UTC)


def test_a_language_is_taken_from_the_feed():
    feed = (
        b'<rss version="2.0"><channel><language>pl-PL</language><item><title>a</title>'
        b"<link>https://x.example/a</link></item></channel></rss>"
    )

    assert read_feed(feed, "text/xml", HOST)[0].lang == "pl"


@pytest.mark.parametrize(
    "item",
    [
        "<title>a</title>",
        "<title>a</title><link>javascript:alert(1)</link>",
        "<title>a</title><link>https://user:word@x.example/</link>",
        "<title>a</title><link>ftp://x.example/</link>",
    ],
)
def test_an_item_that_leads_nowhere_is_left_out(item):
    feed = (
        f'<rss version="2.0"><channel><item>{item}</item><item><link>'
        "https://x.example/good-one</link><pubDate>nonsense</pubDate></item>"
        "</channel></rss>"
    )
    (post,) = read_feed(feed.encode(), "text/xml", HOST)

    assert (post.title, post.published_at) == ("good-one", None)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        "paper",
        {},
        {"paper": None},
        {"paper": {"id": 7, "title": "a"}},
        {"paper": {"id": "../../x", "title": "a"}},
        {"paper": {"id": "2607.1", "title": "  "}},
    ],
)
def test_what_is_no_paper_is_left_out(entry):
    good = {"paper": {"id": "2607.21557", "title": "T", "authors": None}}
    (post,) = read_json(json.dumps([entry, good]).encode(), HOST)

    assert post.url == f"{HOST}/papers/2607.21557"
    assert (post.summary, post.authors, post.published_at) == ("", (), None)


@pytest.mark.parametrize(
    "page",
    [
        '<div data-props="{broken" data-target="DailyPapers"></div>',
        "<div data-props='{\"dailyPapers\": 7}'></div>",
        "<div data-props data-props=",
        "data-props=" * 100_000,
        "data-props='" * 100_000,
        "",
    ],
)
def test_a_page_without_the_list_is_a_named_error(page):
    with pytest.raises(PageChanged, match="0 items"):
        read_page(page.encode(), HOST)


def test_the_order_and_quotes_of_attributes_do_not_matter():
    page = (
        '<div data-props=\'{"dailyPapers": [{"paper": {"id": "2607.1", '
        '"title": "It&#39;s"}}]}\' data-target="DailyPapers"></div>'
    )

    assert read_page(page.encode(), HOST)[0].title == "It's"
