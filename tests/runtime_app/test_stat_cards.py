"""The four figures on top of the overview."""

from datetime import timedelta

import pytest
from django.utils import timezone

from runtime_app.views import stat_cards
from tests.factories import RuntimeFactory
from tests.factories.history import RequestRecordFactory

pytestmark = pytest.mark.django_db


def shown() -> dict[str, stat_cards.StatCard]:
    return {card.label.split(",")[0]: card for card in stat_cards.stat_cards()}


def rows(count, ago=timedelta(), **fields):
    moment = timezone.now() - ago
    return RequestRecordFactory.create_batch(count, created_at=moment, **fields)


def test_each_figure_has_its_day_before_and_its_hours():
    rows(3, ttft_seconds=0.64)
    rows(1, failed=True, ttft_seconds=None)
    rows(2, ago=timedelta(hours=30), ttft_seconds=0.5)
    cards = shown()
    requests, errors = cards["Requests"], cards["Errors"]
    assert (requests.value, requests.aside) == ("4", "+100 %")
    assert requests.note == "2 the day before"
    assert requests.summary == "Requests, 24 h, by hour: 0 to 4, last 4."
    assert (errors.value, errors.aside) == ("25 %", "1 of 4")
    assert errors.note == "0 % the day before"
    assert cards["First token p95"].value == "640 ms"
    assert cards["First token p95"].note == "500 ms the day before"


def test_what_nobody_measured_is_a_dash_and_says_why():
    rows(1, running=True, ttft_seconds=None)
    cards = shown()
    assert (cards["Requests"].value, cards["Errors"].value) == ("1", "–")
    assert cards["First token p95"].value == "–"
    assert cards["First token p95"].note == "No answer was streamed."
    assert not cards["First token p95"].summary
    assert cards["Cloud spend"].value == "–"
    assert cards["Cloud spend"].note == "Nothing leaves this machine."


def test_spend_is_there_once_a_cloud_was_asked():
    rows(1, llm_provider="openai")
    assert shown()["Cloud spend"].note == "No price is known."
    rows(1, llm_provider="openai", cost_usd="0.41")
    assert stat_cards.read_figures().spend.now == 0.41


def test_of_a_busy_day_the_newest_are_looked_at_and_it_says_so(monkeypatch):
    monkeypatch.setattr(stat_cards, "MOST_TIMINGS", 2)
    rows(3)
    assert shown()["First token p95"].aside == "newest 2 requests"


def test_four_questions_however_many_rows(django_assert_num_queries):
    rows(20)
    with django_assert_num_queries(4):
        stat_cards.read_figures()


def test_the_page_shows_them_with_a_drawing_that_is_said_in_words(page_client):
    RuntimeFactory(online=True)
    client = page_client("Viewer")
    assert 'class="stats"' not in client.get("/").content.decode()
    rows(2)
    page = client.get("/").content.decode()
    assert page.count('class="card stat"') == 4
    assert 'role="img" aria-label="Requests, 24 h, by hour: 0 to 2, last 2."' in page
