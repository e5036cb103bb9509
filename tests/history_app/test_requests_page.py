"""The pages of requests: the list and one of them."""

import pytest
from django.urls import reverse

from history_app.services import search
from history_app.views import requests as views
from tests.factories.history import RequestRecordFactory

pytestmark = pytest.mark.django_db
LIST = "/requests/"


def ids_of(answer) -> list[str]:
    """The rows of the list in the order of the page."""
    text = answer.content.decode()
    marks = text.split('<tr id="request-')[1:]
    return [mark.split('"', 1)[0] for mark in marks]


def test_running_requests_stand_on_top_and_nothing_twice(page_client):
    running = RequestRecordFactory(running=True)
    ended = [RequestRecordFactory() for _ in range(2)]
    answer = page_client("Viewer").get(LIST)
    assert answer.status_code == 200
    assert ids_of(answer) == [str(row.pk) for row in (running, ended[1], ended[0])]
    assert "gemma3:4b" in answer.content.decode()


def test_an_empty_list_says_so(page_client):
    assert ids_of(page_client("Viewer").get(LIST)) == []


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("status=FAILED", 1),
        ("status=PROCESSING", 1),
        ("provider=lab", 1),
        ("fallback=1", 1),
        ("q=practice", 1),
        ("min_duration=100", 0),
        ("status=NONSENSE&since=yesterday&min_duration=-3", 3),
    ],
)
def test_the_filter_is_the_query_string(page_client, query, count):
    RequestRecordFactory()
    RequestRecordFactory(running=True)
    RequestRecordFactory(
        failed=True, llm_provider="lab", llm_model="practice-7b", fallback=True
    )
    assert len(ids_of(page_client("Viewer").get(f"{LIST}?{query}"))) == count


def test_older_ones_are_a_link_away(page_client, monkeypatch):
    monkeypatch.setattr(views, "PAGE_ROWS", 2)
    rows = [RequestRecordFactory() for _ in range(5)]
    RequestRecordFactory(running=True)
    client = page_client("Viewer")
    seen, cursor = [], ""
    while cursor is not None:
        answer = client.get(LIST, {"cursor": cursor} if cursor else {})
        seen += ids_of(answer)
        cursor = answer.context["page"].next_cursor
        if cursor:
            assert cursor in answer.content.decode()
    assert seen[1:] == [str(row.pk) for row in reversed(rows)]


def test_a_bad_cursor_is_a_page_that_says_so(page_client):
    answer = page_client("Viewer").get(f"{LIST}?cursor=nonsense")
    assert answer.status_code == 400
    assert "text/html" in answer["Content-Type"]


def test_a_list_of_many_rows_asks_the_database_as_often_as_one_of_few(
    page_client, django_assert_max_num_queries
):
    RequestRecordFactory.create_batch(40)
    client = page_client("Viewer")
    client.get(LIST)
    with django_assert_max_num_queries(14):
        client.get(LIST)


@pytest.mark.parametrize("traits", [{}, {"running": True}, {"failed": True}])
def test_a_request_has_a_page_in_every_state(page_client, traits):
    row = RequestRecordFactory(**traits)
    answer = page_client("Viewer").get(row.get_absolute_url())
    assert answer.status_code == 200
    text = answer.content.decode()
    assert row.llm_endpoint.removeprefix("http://") in text
    assert row.error_message in text


def test_contents_are_shown_only_to_who_may_see_them(page_client):
    row = RequestRecordFactory()
    address = row.get_absolute_url()
    assert "weather" not in page_client("Viewer").get(address).content.decode()
    assert "weather" in page_client("Governor").get(address).content.decode()


def test_markup_in_a_prompt_or_a_model_stays_text(page_client):
    evil = "<script>alert(1)</script>"
    row = RequestRecordFactory(
        prompt_preview=evil, requested_model=evil, error_message=evil, failed=True
    )
    client = page_client("Governor")
    for address in (LIST, row.get_absolute_url()):
        assert evil not in client.get(address).content.decode()


def test_an_unknown_request_is_404_and_a_signed_out_visitor_signs_in(page_client):
    row = RequestRecordFactory()
    unknown = reverse("request-detail", args=["00000000-0000-7000-8000-000000000000"])
    client = page_client("Viewer")
    assert client.get(unknown).status_code == 404
    client.logout()
    for address in (LIST, row.get_absolute_url()):
        assert client.get(address)["Location"].startswith("/sign-in/?next=")


def test_a_page_is_none_when_there_is_nothing_older():
    RequestRecordFactory()
    page = search.page_of(search.RequestRecord.objects.all(), limit=1)
    assert page.next_cursor is None
