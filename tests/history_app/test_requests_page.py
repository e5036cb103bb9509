"""The pages of requests: the list and one of them."""

import html
import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from history_app.services import search
from history_app.services.filters import RequestFilters
from history_app.services.timings import parts_of
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
    page = search.page_of(RequestFilters(), limit=1)
    assert page.next_cursor is None


@pytest.mark.parametrize(
    ("query", "view"),
    [
        ("", "All"),
        ("?status=FAILED", "Errors"),
        ("?fallback=1", "Fallbacks"),
        ("?min_duration=10", "Slow"),
        ("?cloud=1", "Cloud"),
    ],
)
def test_a_saved_view_is_a_link_and_says_where_one_is(page_client, query, view):
    row = RequestRecordFactory(
        failed=True, fallback=True, llm_provider="openai", duration_seconds=11
    )
    RequestRecordFactory()
    answer = page_client("Viewer").get(f"{LIST}{query}")
    text = answer.content.decode()
    assert f'aria-current="true">{view}</a>' in text
    assert str(row.pk) in ids_of(answer)
    assert len(ids_of(answer)) == (1 if query else 2)


def test_each_filter_is_a_chip_to_take_back(page_client):
    answer = page_client("Viewer").get(f"{LIST}?provider=lab&hours=24&cloud=1")
    chips = {chip["words"]: chip["url"] for chip in answer.context["chips"]}
    assert chips == {
        "Last 24 h": "/requests/?provider=lab&cloud=1",
        "Provider: lab": "/requests/?hours=24&cloud=1",
        "Cloud": "/requests/?provider=lab&hours=24",
    }


def test_the_export_takes_the_filters_of_the_page(page_client):
    wanted = RequestRecordFactory(llm_provider="openai")
    RequestRecordFactory()
    RequestRecordFactory(
        llm_provider="openai", created_at=timezone.now() - timedelta(hours=30)
    )
    client = page_client("Viewer")
    text = client.get(f"{LIST}?cloud=1&hours=24").content.decode()
    link = re.search(
        r'href="(/api/v1/history/requests/export\?format=jsonl[^"]*)"', text
    )
    same = html.unescape(link[1]).replace("/export?format=jsonl&", "?")
    found = client.get(same).json()["requests"]
    assert [row["request_id"] for row in found] == [wanted.request_id]


def test_an_empty_window_names_the_last_request_and_leads_to_it(page_client):
    row = RequestRecordFactory(created_at=timezone.now() - timedelta(days=2))
    text = page_client("Viewer").get(f"{LIST}?hours=24").content.decode()
    assert "No requests in this window. The last one was 2 d ago." in text
    assert f'href="{row.get_absolute_url()}"' in text


def test_a_look_that_ended_early_says_how_far_and_goes_on(page_client, monkeypatch):
    monkeypatch.setattr(search, "MOST_LOOKED_AT", 3)
    monkeypatch.setattr("history_app.services.filters.FEW_ROWS", 1)
    RequestRecordFactory.create_batch(6)
    text = page_client("Viewer").get(f"{LIST}?min_duration=1&provider=ollama")
    shown = text.content.decode()
    assert "Looked at requests back to" in shown
    assert "Go on" in shown


def test_a_row_says_what_left_the_machine_and_what_it_cost(page_client):
    RequestRecordFactory(llm_provider="openai", cost_usd="0.0002")
    RequestRecordFactory()
    text = page_client("Viewer").get(LIST).content.decode()
    assert '<span class="tag cloud">openai</span>' in text
    assert "$0.0002" in text
    assert ">local<" in text


def test_the_page_of_a_request_tells_its_journey(page_client):
    row = RequestRecordFactory(
        traced=True,
        fallback=True,
        requested_model="vllm/gemma3:4b",
        reason_code="FALLBACK_OFFLINE",
        queue_seconds=0.05,
        overhead_seconds=0.01,
        session_id="s-1",
        parameters={"temperature": 0.2},
    )
    text = page_client("Governor").get(row.get_absolute_url()).content.decode()
    for words in (
        "vllm/gemma3:4b",
        "127.0.0.1:8001",
        "upstream_offline",
        "FALLBACK_OFFLINE",
        "Would be next",
        "The next in the order of fallback.",
        "top_k was left out",
        "first token",
        "10:00:00.100",
        "temperature",
        "/requests/?session_id=s-1",
        "It is sunny.",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        (
            {"queue_seconds": 0.05, "overhead_seconds": 0.01},
            [("queue", 0.05), ("overhead", 0.01), ("first", 0.19), ("generation", 1)],
        ),
        ({"ttft_seconds": None}, [("answer", 1.25)]),
        ({"duration_seconds": None}, []),
    ],
)
def test_the_bar_is_what_was_measured_and_fills_the_whole(fields, parts):
    drawn = parts_of(RequestRecordFactory.build(**fields))
    assert [(p.kind, pytest.approx(p.seconds)) for p in drawn] == parts
    if parts:
        assert drawn[-1].start + drawn[-1].width == pytest.approx(100)
