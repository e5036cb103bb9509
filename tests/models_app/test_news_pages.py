"""News and papers as people see them: at once, old, offline, month by month."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes.news import FEED, PAPERS
from tests.fakes.news_written import Written
from tests.models_app.older import grow_old
from venom_site.lib import months

pytest_plugins = ("tests.models_app.news_fixtures",)
pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
NEWS, PAPER_LIST, REFRESH = "/news/", "/news/papers/", "/news/refresh/"
LAST_MONTH = months.shifted(months.this_month(), -1)


@pytest.fixture
def viewer(page_client, written):
    return page_client("Viewer")


@pytest.fixture
def operator(page_client, written):
    return page_client("Operator")


def html(answer):
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def titles_in(page):
    return re.findall(r'<a class="out"[^>]*>(.*?) <svg', page)


def section(page, source):
    found = re.search(
        rf'<section class="card" id="news-{source}".*?</section>', page, re.S
    )
    return found[0]


def filled(client):
    """Both sections have a copy."""
    for part in ("blog", "papers"):
        client.get(NEWS, {"part": part, "month": LAST_MONTH})
    return html(client.get(NEWS, {"month": LAST_MONTH}))


def test_the_first_visit_answers_at_once_and_asks_afterwards(viewer, written):
    page = html(viewer.get(NEWS))

    assert not written.state.requests
    for source in ("blog", "papers"):
        block = section(page, source)
        assert f'hx-get="/news/?part={source}&amp;month=' in block
        assert 'hx-trigger="load"' in block
        assert "There is no copy of this list yet." in block
        assert "<noscript><a" in block


def test_a_section_that_is_asked_for_comes_alone_and_does_not_ask_again(
    viewer, written
):
    block = html(viewer.get(NEWS, {"part": "blog"}, headers=HTMX))

    assert block.lstrip().startswith('<section class="card" id="news-blog"')
    assert "hx-trigger" not in block
    assert len(titles_in(block)) == 12
    assert written.state.requests == {FEED: 1}


def test_without_a_script_the_link_brings_the_whole_page(viewer, written):
    page = html(viewer.get(NEWS, {"part": "papers", "month": LAST_MONTH}))

    assert "<h1>News & papers</h1>" in page
    assert len(titles_in(section(page, "papers"))) == 6
    assert titles_in(section(page, "blog")) == []
    assert written.state.requests == {PAPERS: 1}


def test_a_fresh_copy_is_shown_without_asking_anybody(viewer, written):
    filled(viewer)
    page = html(viewer.get(NEWS, {"month": LAST_MONTH}))

    assert written.state.requests == {FEED: 1, PAPERS: 1}
    assert 'hx-trigger="load"' not in page
    assert len(titles_in(page)) == 18


def test_an_old_copy_is_shown_at_once_and_loads_its_fresh_self(viewer, written):
    filled(viewer)
    grow_old(minutes=31)
    page = html(viewer.get(NEWS, {"month": LAST_MONTH}))

    assert len(titles_in(page)) == 18
    assert page.count('hx-trigger="load"') == 2
    assert written.state.requests == {FEED: 1, PAPERS: 1}


def test_every_title_leads_out_of_this_machine_and_says_so(viewer):
    page = filled(viewer)

    for link in re.findall(r'<a class="out"[^>]*>', page):
        assert 'rel="noreferrer nofollow noopener"' in link
        assert 'lang="en"' in link
        assert re.search(r'href="http://127\.0\.0\.1:\d+/(blog|papers)/', link)


def test_what_a_source_writes_is_escaped(viewer, written):
    written.state.extra_posts = [
        Written(
            title='&lt;b onclick="x"&gt; & co',
            slug="a",
            at=datetime.now(UTC) + timedelta(minutes=1),
        )
    ]
    page = html(viewer.get(NEWS, {"part": "blog"}))

    assert "<b onclick" not in page
    assert "co" in titles_in(page)[0]


def test_papers_name_their_authors_and_what_they_say(viewer):
    block = section(filled(viewer), "papers")

    assert "We study" in block
    assert "If a &lt; b &amp; c, results hold." in block
    assert "and 1 more" in text_of(block)


def test_an_offline_source_leaves_its_copy_with_the_reason_and_the_next_try(
    operator, written
):
    filled(operator)
    grow_old(minutes=31)
    written.stop()
    block = html(operator.get(NEWS, {"part": "blog"}, headers=HTMX))

    assert len(titles_in(block)) == 12
    assert "No connection to the source." in block
    assert "Copy from" in block
    assert "next try" in block
    assert "provider_unreachable" in block
    assert "hx-trigger" not in block


def test_one_source_that_is_away_takes_nothing_from_the_other(operator, written):
    written.state.faults.plan(FEED, "status:500", times=0)
    page = filled(operator)

    assert len(titles_in(section(page, "papers"))) == 6
    assert "No copy yet and no connection." in section(page, "blog")
    assert "No connection" not in section(page, "papers")


def test_a_page_that_changed_says_so(operator, written):
    written.state.trick = "changed"
    block = html(operator.get(NEWS, {"part": "blog"}, headers=HTMX))

    assert "The page layout of the source changed; 0 items read." in block
    assert "catalogue_changed" in block


def test_a_busy_source_says_when_it_is_asked_again(operator, written):
    written.state.faults.plan(PAPERS, "status:429", times=0)
    block = html(operator.get(NEWS, {"part": "papers"}, headers=HTMX))

    assert "The source asked us to wait." in block
    assert "next try" in text_of(block)


def test_the_button_refreshes_its_own_section_alone(operator, written):
    filled(operator)
    grow_old(seconds=11)
    form = {"place": "news", "part": "blog", "month": LAST_MONTH}
    block = html(operator.post(REFRESH, form, headers=HTMX))

    assert block.lstrip().startswith('<section class="card" id="news-blog"')
    assert written.state.requests == {FEED: 2, PAPERS: 1}


def test_without_a_script_the_button_leads_back_to_its_section(operator, written):
    form = {"place": "news-papers", "part": "papers", "month": LAST_MONTH}
    answer = operator.post(REFRESH, form)

    assert answer.status_code == 302
    assert answer["Location"] == f"/news/papers/?month={LAST_MONTH}#news-papers"
    assert written.state.requests == {PAPERS: 1}

    again = operator.post(REFRESH, form, follow=True).content.decode()
    assert re.search(r"papers: checked \d+ s ago, asked again at most every", again)
    assert written.state.requests == {PAPERS: 1}


def test_who_only_reads_has_no_button(viewer, written):
    assert "Refresh" not in filled(viewer)
    assert viewer.post(REFRESH, {"part": "blog"}).status_code == 403
    assert written.state.requests[FEED] == 1


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"part": "x"},
        {"part": "blog", "place": "x"},
        {"part": "blog", "place": "news-papers"},
        {"part": "huggingface", "place": "news"},
    ],
)
def test_a_button_that_does_not_exist_is_400(operator, written, form):
    assert operator.post(REFRESH, form).status_code == 400
    assert not written.state.requests


def test_months_are_chosen_by_a_form_and_two_links(viewer):
    block = section(filled(viewer), "papers")

    assert '<form class="filters" method="get" action="/news/">' in block
    assert f'<option value="{LAST_MONTH}" selected>' in block
    assert f'?month={months.shifted(LAST_MONTH, -1)}#news-papers"' in block
    assert f'?month={months.this_month()}#news-papers"' in block
    now = section(html(viewer.get(NEWS)), "papers")
    assert 'rel="next"' not in now
    first = section(html(viewer.get(NEWS, {"month": "2023-01"})), "papers")
    assert 'rel="prev"' not in first


def test_a_month_without_papers_points_to_the_one_before(viewer, written):
    written.state.empty_months = {LAST_MONTH}
    page = html(viewer.get(PAPER_LIST, {"month": LAST_MONTH, "part": "papers"}))

    assert "No papers of" in page
    assert f'href="/news/papers/?month={months.shifted(LAST_MONTH, -1)}"' in page


@pytest.mark.parametrize("url", [NEWS, PAPER_LIST])
@pytest.mark.parametrize(
    "query",
    [
        {"month": "2026-13"},
        {"month": "9999-01"},
        {"month": "x" * 500},
        {"page": "-1"},
        {"page": "9" * 30},
        {"part": "elsewhere"},
        {"part": "ollama"},
    ],
)
def test_nonsense_in_the_address_shows_the_present_month(viewer, written, url, query):
    for headers in ({}, HTMX):
        page = html(viewer.get(url, query, headers=headers))
        assert f'<option value="{months.this_month()}" selected>' in page
        assert ("This is no month of ours" in page) is ("month" in query)
    assert not written.state.requests


def test_the_papers_of_a_month_have_pages_of_their_own(viewer):
    first = html(viewer.get(PAPER_LIST, {"month": LAST_MONTH, "part": "papers"}))
    second = html(viewer.get(PAPER_LIST, {"month": LAST_MONTH, "page": 2}))
    beyond = html(viewer.get(PAPER_LIST, {"month": LAST_MONTH, "page": 99}))

    assert len(titles_in(first)) == len(titles_in(second)) == 25
    assert re.search(r"Page 2 of \d", text_of(second))
    assert "papers of this month" in filled(viewer)
    last = re.search(r"Page (\d) of \1", text_of(beyond))
    assert last


def test_the_rail_leads_to_the_news(viewer):
    page = html(viewer.get("/help/"))
    here = html(viewer.get(NEWS))

    assert '<a href="/news/" data-key="n">' in page
    assert '<a href="/news/" data-key="n" aria-current="page">' in here


def test_dates_are_in_the_readers_language(viewer):
    viewer.cookies["django_language"] = "pl"
    page = html(viewer.get(PAPER_LIST, {"month": "2026-07"}))

    assert "Lipiec 2026" in page


def test_a_page_from_its_copy_asks_the_database_little(
    viewer, django_assert_max_num_queries
):
    filled(viewer)
    with django_assert_max_num_queries(20):
        viewer.get(NEWS, {"month": LAST_MONTH})


def test_signed_out_nobody_reads_them(client, written):
    for url in (NEWS, PAPER_LIST):
        answer = client.get(url)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/sign-in/?next=")
