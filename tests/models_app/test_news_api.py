"""News and papers as programs see them, fresh, old, and with their source away."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from models_app.models import CatalogEntry
from models_app.services import catalog_refresh, news
from tests.fakes.news import FEED, PAPERS
from tests.fakes.news_written import Written
from tests.models_app.older import grow_old
from venom_site.lib import months

pytest_plugins = ("tests.models_app.news_fixtures",)
pytestmark = pytest.mark.django_db

NEWS = "/api/v1/models/news"
LAST_MONTH = months.shifted(months.this_month(), -1)
ITEM = {"title", "url", "summary", "published_at", "authors", "source", "lang"}


@pytest.fixture
def reader(api_client, written):
    return api_client("read")


def papers(client, **query):
    return client.get(NEWS, {"type": "papers", "month": LAST_MONTH, **query})


def test_the_answer_has_the_shape_of_the_contract(reader):
    for answer in (reader.get(NEWS), papers(reader)):
        body = answer.json()
        assert answer.status_code == 200
        assert body["success"] is True
        assert body["provider"] == "huggingface"
        assert (body["count"], len(body["items"])) == (5, 5)
        assert (body["stale"], body["error"]) == (False, None)
        assert body["fetched_at"].endswith("Z")
        for item in body["items"]:
            assert set(item) == ITEM
            assert item["source"] == "huggingface"
            assert item["lang"] == "en"
            assert item["published_at"].endswith("Z")


def test_the_blog_has_neither_summary_nor_author_and_that_is_normal(reader):
    item = reader.get(NEWS, {"limit": 1}).json()["items"][0]

    assert (item["summary"], item["authors"]) == ("", [])


def test_papers_are_those_of_the_month_and_of_the_present_one_without(reader):
    days = [item["published_at"] for item in papers(reader).json()["items"]]
    assert {day[:7] for day in days} == {LAST_MONTH}

    now = reader.get(NEWS, {"type": "papers"})
    assert now.status_code == 200
    assert CatalogEntry.objects.filter(key=f"month={months.this_month()}").exists()


def test_a_month_narrows_the_blog(reader):
    every = reader.get(NEWS, {"limit": 200}).json()
    some = reader.get(NEWS, {"limit": 200, "month": LAST_MONTH}).json()

    assert 10 < some["count"] < every["count"] == 40
    assert {item["published_at"][:7] for item in some["items"]} == {LAST_MONTH}


def test_limit_says_how_many(reader):
    assert reader.get(NEWS, {"limit": 7}).json()["count"] == 7
    assert papers(reader, limit=200).json()["count"] <= 100


def test_hf_is_the_same_provider(reader):
    assert reader.get(NEWS, {"provider": "hf"}).json()["provider"] == "huggingface"


@pytest.mark.parametrize("lang", ["pl", "en", "de"])
def test_items_keep_their_own_language(reader, lang):
    assert reader.get(NEWS, {"lang": lang}).json()["items"][0]["lang"] == "en"


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ({"month": "2026-13"}, "query.month"),
        ({"month": "26-01"}, "query.month"),
        ({"month": "2026-1"}, "query.month"),
        ({"month": "2026-07\n"}, "query.month"),
        ({"month": "２０２６-07"}, "query.month"),
        ({"month": "1999-01"}, "query.month"),
        ({"month": months.shifted(months.this_month(), 1)}, "query.month"),
        ({"month": "x" * 300}, "query.month"),
        ({"lang": "fr"}, "query.lang"),
        ({"type": "tweets"}, "query.type"),
        ({"provider": "ollama"}, "query.provider"),
        ({"limit": "0"}, "query.limit"),
        ({"limit": "201"}, "query.limit"),
        ({"limit": "many"}, "query.limit"),
        ({"refresh": "perhaps"}, "query.refresh"),
    ],
)
def test_a_bad_value_is_400_and_names_its_place(reader, written, query, place):
    answer = reader.get(NEWS, query)

    assert answer.status_code == 400
    assert answer.json()["code"] == "bad_request"
    assert [error["loc"] for error in answer.json()["errors"]] == [place]
    assert not written.state.requests


def test_all_bad_values_are_listed_at_once(reader):
    query = {"month": "x", "lang": "x", "type": "x", "limit": "x", "provider": "x"}
    answer = reader.get(NEWS, query)

    assert answer.status_code == 400
    assert {error["loc"].partition(".")[2] for error in answer.json()["errors"]} == set(
        query
    )


def test_the_source_is_asked_once_in_half_an_hour(reader, written):
    for _ in range(3):
        reader.get(NEWS)
        papers(reader)
    assert written.state.requests == {FEED: 1, PAPERS: 1}

    grow_old(minutes=31)
    reader.get(NEWS)
    assert written.state.requests[FEED] == 2


def test_refresh_asks_now_and_is_for_operators(api_client, reader, written):
    reader.get(NEWS)
    grow_old(seconds=11)

    assert reader.get(NEWS, {"refresh": "true"}).status_code == 403
    assert written.state.requests[FEED] == 1
    assert api_client("operate").get(NEWS, {"refresh": "true"}).status_code == 200
    assert written.state.requests[FEED] == 2
    api_client("govern").get(NEWS, {"refresh": "true"})
    assert written.state.requests[FEED] == 2  # at most one in ten seconds


def test_a_source_that_went_away_leaves_its_copy(reader, written):
    before = reader.get(NEWS).json()
    grow_old(minutes=31)
    written.stop()
    after = reader.get(NEWS).json()

    assert after["items"] == before["items"]
    assert after["stale"] is True
    assert after["error"].startswith("Nothing answers at 127.0.0.1")
    assert after["error_code"] == "provider_unreachable"
    assert after["fetched_at"] < before["fetched_at"]
    assert after["next_try_at"] is not None


def test_a_source_that_was_never_there_is_502_with_the_next_try(reader, written):
    written.stop()
    answer = reader.get(NEWS)

    assert answer.status_code == 502
    assert answer.json()["code"] == "provider_unreachable"
    assert "Nothing answers" in answer.json()["detail"]
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("trick", "code"), [("changed", "catalogue_changed"), ("bomb", "catalogue_changed")]
)
def test_a_page_that_changed_is_a_named_error_and_no_empty_list(
    reader, written, trick, code
):
    copy = reader.get(NEWS).json()
    written.state.trick = trick
    grow_old(minutes=31)
    changed = reader.get(NEWS).json()

    assert (changed["items"], changed["error_code"]) == (copy["items"], code)


def test_a_busy_source_is_left_alone_as_long_as_it_asked_for(reader, written):
    written.state.faults.plan(PAPERS, "status:429", times=0)
    first = papers(reader)
    again = papers(reader, month=months.shifted(LAST_MONTH, -1))

    assert first.json()["code"] == again.json()["code"] == "source_busy"
    assert 100 <= int(first.headers["Retry-After"]) <= 120
    assert written.state.requests[PAPERS] == 1
    assert reader.get(NEWS).status_code == 200  # the blog is another source


def test_what_a_source_writes_leaves_as_text(reader, written):
    written.state.extra_posts = [
        Written(
            title="<script>alert(1)</script><img src=x onerror=alert(1)> & more",
            slug="a",
            at=datetime.now(UTC) + timedelta(minutes=1),
        )
    ]
    item = reader.get(NEWS, {"limit": 1}).json()["items"][0]

    assert item["title"] == "& more"


def test_an_empty_feed_is_an_empty_list(reader, written):
    written.state.trick = "empty"
    body = reader.get(NEWS).json()

    assert (body["count"], body["stale"], body["error"]) == (0, False, None)


def test_a_copy_of_another_release_is_asked_for_again(reader, written):
    reader.get(NEWS)
    CatalogEntry.objects.update(payload={"v": 99, "articles": []})
    grow_old(seconds=11)

    assert reader.get(NEWS).json()["count"] == 5
    assert written.state.requests[FEED] == 2


def test_the_job_refreshes_what_was_looked_at_and_nothing_else(reader, written):
    reader.get(NEWS)
    papers(reader)
    grow_old(minutes=31)

    assert catalog_refresh.refresh_viewed() == 2
    assert written.state.requests == {FEED: 2, PAPERS: 2}
    grow_old(minutes=31)
    CatalogEntry.objects.update(viewed_at=datetime.now(UTC) - timedelta(hours=25))
    assert catalog_refresh.refresh_viewed() == 0


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("blog", "other"),
        ("papers", "month=2099-01"),
        ("papers", "month=x"),
        ("papers", ""),
    ],
)
def test_the_job_leaves_keys_it_does_not_know_alone(written, source, key):
    assert news.reader(source, key) is None


def test_without_a_key_nobody_reads_them(client, written):
    assert client.get(NEWS).status_code == 401
    assert json.loads(client.get(NEWS).content)["code"] == "unauthorized"
