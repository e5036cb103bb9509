"""What a list that was drawn is told: the running ones, and how many ended since."""

from datetime import timedelta

import pytest
from django.utils import timezone

from history_app.services import search
from history_app.services.filters import RequestFilters
from tests.factories.history import RequestRecordFactory

pytestmark = pytest.mark.django_db


def news_url(page: str) -> str:
    start = page.index("/requests/news/?")
    return page[start : page.index('"', start)].replace("&amp;", "&")


def test_new_rows_are_counted_and_jump_nowhere(page_client):
    RequestRecordFactory()
    client = page_client("Viewer")
    url = news_url(client.get("/requests/").content.decode())
    assert "New row" not in client.get(url).content.decode()
    late = [RequestRecordFactory() for _ in range(2)]
    answer = client.get(url).content.decode()
    assert "New rows: 2" in answer
    assert str(late[0].pk) not in answer
    assert 'href="/requests/"' in answer


def test_the_running_ones_come_with_a_clock_and_leave(page_client):
    RequestRecordFactory()
    client = page_client("Viewer")
    url = news_url(client.get("/requests/").content.decode())
    began = timezone.now() - timedelta(seconds=72)
    running = RequestRecordFactory(running=True, created_at=began)
    answer = client.get(url).content.decode()
    assert f'id="request-{running.pk}"' in answer
    assert "data-since>1:12</time>" in answer
    assert "New row" not in answer


def test_a_first_request_that_ends_does_not_leave_an_empty_list(page_client):
    """It stood there while it ran; then there was only a button that counted it."""
    RequestRecordFactory(running=True)
    page = page_client("Viewer").get("/requests/").content.decode()
    assert "/requests/news/" not in page
    start = page.index('id="request-list"')
    section = page[start : page.index(">", start)]
    assert 'data-adds="request-" hx-get="/requests/"' in section
    assert "every 5s" in section  # others that begin are no news of the socket


def test_news_follow_the_filter_of_the_list(page_client):
    RequestRecordFactory(llm_provider="lab")
    client = page_client("Viewer")
    url = news_url(client.get("/requests/?provider=lab").content.decode())
    RequestRecordFactory()
    RequestRecordFactory(llm_provider="lab")
    answer = client.get(url).content.decode()
    assert "New row: 1" in answer
    assert 'href="/requests/?provider=lab"' in answer


def test_one_that_began_earlier_and_ended_later_is_news():
    now = timezone.now()
    RequestRecordFactory(created_at=now - timedelta(minutes=5), finished_at=now)
    assert search.ended_after(RequestFilters(), now - timedelta(seconds=1)) == 1
    assert search.ended_after(RequestFilters(), now) == 0


@pytest.mark.parametrize("seen", ["", "yesterday", "2026-99-99T10:00:00Z", "10:00"])
def test_a_time_that_is_none_counts_everything(page_client, seen):
    RequestRecordFactory()
    answer = page_client("Viewer").get("/requests/news/", {"seen": seen})
    assert "New row: 1" in answer.content.decode()


def test_an_older_page_asks_for_no_news(page_client):
    page = page_client("Viewer").get("/requests/?cursor=").content.decode()
    assert "/requests/news/" not in page  # an empty list is fetched whole
    RequestRecordFactory.create_batch(51)
    client = page_client("Operator")
    cursor = client.get("/requests/").context["page"].next_cursor
    older = client.get("/requests/", {"cursor": cursor}).content.decode()
    assert "/requests/news/" not in older
