"""Kept answers: one caller at a time, a clock for freshness, failures with a name."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from models_app.models import CatalogEntry, CatalogPause
from models_app.providers.base import (
    CatalogueChanged,
    ModelNotFound,
    ProviderAway,
    SourceBusy,
)
from models_app.services import kept_answers, kept_rows
from models_app.services.kept_answers import kept
from tests.fakes.waiting import wait_until
from tests.threads import at_once, in_thread
from venom_site.lib.errors import WireError

HF, OLLAMA, KEY = "huggingface", "ollama", "trending?limit=12"
pytestmark = pytest.mark.django_db


class Source:
    """What a catalogue answers, and how often it was asked."""

    def __init__(self, answer=("first", "second", "third")):
        self.answers = list(answer)
        self.asked = 0

    def __call__(self):
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, BaseException):
            raise answer
        return answer


def age(minutes=0.0, seconds=0.0, **where):
    """As if everything in the table had happened so much earlier."""
    by = timedelta(minutes=minutes, seconds=seconds)
    for row in CatalogEntry.objects.filter(**where):
        for name in ("fetched_at", "failed_at", "asked_at", "refreshing_until"):
            if (moment := getattr(row, name)) is not None:
                setattr(row, name, moment - by)
        row.save()
    for pause in CatalogPause.objects.all():
        pause.until -= by
        pause.since -= by
        pause.save()


def test_the_first_question_is_asked_and_the_answer_kept():
    source = Source()

    first, second = kept(HF, KEY, source), kept(HF, KEY, source)

    assert first.payload == second.payload == "first"
    assert source.asked == 1
    assert not second.stale
    assert second.error == second.error_code == ""
    assert second.next_try_at is None
    assert 0 <= second.age_seconds < 60


def test_after_thirty_minutes_the_source_is_asked_again():
    source = Source()
    kept(HF, KEY, source)
    age(minutes=29)
    assert kept(HF, KEY, source).payload == "first"
    age(minutes=2)

    assert kept(HF, KEY, source).payload == "second"


def test_sources_and_questions_are_kept_apart():
    source = Source()

    answers = [
        kept(name, key, source).payload
        for name, key in ((HF, KEY), (OLLAMA, KEY), (HF, "newest?limit=12"))
    ]

    assert answers == ["first", "second", "third"]


def test_a_refresh_asks_again_but_not_within_ten_seconds_of_the_last_call():
    source = Source()
    kept(HF, KEY, source)

    assert kept(HF, KEY, source, refresh=True).payload == "first"
    age(seconds=11)
    assert kept(HF, KEY, source, refresh=True).payload == "second"
    assert kept(HF, KEY, source, refresh=True).payload == "second"
    assert source.asked == 2


def test_a_refresh_that_came_too_soon_is_told_when_the_source_was_asked():
    source = Source()
    first = kept(HF, KEY, source)
    age(seconds=11)

    asked = kept(HF, KEY, source, refresh=True)
    too_soon = kept(HF, KEY, source, refresh=True)

    assert (first.asked_seconds_ago, asked.asked_seconds_ago) == (None, None)
    assert too_soon.asked_seconds_ago is not None
    assert 0 <= too_soon.asked_seconds_ago <= too_soon.pause_seconds == 10
    assert kept(HF, KEY, source).asked_seconds_ago is None  # nobody wished for more


def test_without_waiting_nothing_is_asked_and_the_age_is_told():
    source = Source()

    nothing = kept(HF, KEY, source, wait=False)
    kept(HF, KEY, source)
    fresh = kept(HF, KEY, source, wait=False)
    age(minutes=31)
    old = kept(HF, KEY, source, wait=False)

    assert (nothing.payload, nothing.stale, nothing.is_due) == (None, True, True)
    assert nothing.fetched_at is nothing.age_seconds is None
    assert (fresh.payload, fresh.stale, fresh.is_due) == ("first", False, False)
    assert (old.payload, old.stale, old.is_due) == ("first", True, True)
    assert source.asked == 1


def test_a_question_that_was_only_looked_at_makes_no_row():
    kept(HF, KEY, Source(), wait=False)

    assert not CatalogEntry.objects.exists()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CatalogueChanged("The page has no list."), "catalogue_changed"),
        (ModelNotFound("No such model."), "model_not_found"),
        (ProviderAway("No answer."), "provider_unreachable"),
        (SourceBusy("Wait.", wait_seconds=60), "source_busy"),
        (WireError("Cut off."), "provider_unreachable"),
        (WireError("Nonsense.", permanent=True), "provider_failed"),
    ],
)
def test_a_failure_gives_the_old_copy_with_its_name(error, code):
    source = Source(["good", error])
    fetched = kept(HF, KEY, source).fetched_at
    age(minutes=31)

    after = kept(HF, KEY, source)

    assert after.payload == "good"
    assert after.stale
    assert (after.error, after.error_code) == (str(error), code)
    assert after.fetched_at == fetched - timedelta(minutes=31)
    assert after.next_try_at > timezone.now()
    assert not after.is_due


def test_a_failure_without_a_copy_has_no_payload():
    after = kept(HF, KEY, Source([ProviderAway("No answer.")]))

    assert after.payload is None
    assert after.stale
    assert after.error_code == "provider_unreachable"


def test_a_failed_refresh_of_a_fresh_copy_says_so():
    source = Source(["good", CatalogueChanged("No list.")])
    kept(HF, KEY, source)
    age(seconds=11)

    after = kept(HF, KEY, source, refresh=True)

    assert after.payload == "good"
    assert after.stale
    assert after.error_code == "catalogue_changed"


def test_what_failed_is_left_alone_for_a_while_that_grows():
    source = Source([CatalogueChanged("No list.")])
    kept(HF, KEY, source)

    age(seconds=20)
    kept(HF, KEY, source)
    assert source.asked == 1
    age(seconds=11)
    kept(HF, KEY, source)
    assert source.asked == 2
    for _ in range(20):
        age(seconds=301)
        kept(HF, KEY, source)
    assert source.asked == 22
    age(seconds=290)
    kept(HF, KEY, source)
    assert source.asked == 22


def test_a_success_ends_the_growing():
    source = Source([CatalogueChanged("No list."), "good"])
    kept(HF, KEY, source)
    age(minutes=10)

    after = kept(HF, KEY, source)

    assert (after.payload, after.error, after.stale) == ("good", "", False)
    assert CatalogEntry.objects.get().failed_at is None


def test_a_person_may_try_a_source_that_failed():
    source = Source([ProviderAway("No answer."), "good"])
    kept(HF, KEY, source)
    age(seconds=11)

    assert kept(HF, KEY, source).payload is None
    assert kept(HF, KEY, source, refresh=True).payload == "good"
    assert not CatalogPause.objects.exists()


def test_a_source_that_asked_for_a_rest_gets_it_also_from_a_refresh():
    source = Source(["good", SourceBusy("Wait.", wait_seconds=600)])
    kept(HF, KEY, source)
    age(minutes=31)
    kept(HF, KEY, source)
    age(minutes=9)

    after = kept(HF, KEY, source, refresh=True)

    assert source.asked == 2
    assert after.payload == "good"
    assert after.error_code == "source_busy"
    left = (after.next_try_at - timezone.now()).total_seconds()
    assert 30 < left < 61


def test_no_rest_is_longer_than_an_hour():
    kept(HF, KEY, Source([SourceBusy("Wait.", wait_seconds=10**9)]))

    until = CatalogPause.objects.get().until
    assert until <= timezone.now() + timedelta(hours=1)


@pytest.mark.parametrize("error", [ProviderAway("Away."), SourceBusy("Wait.")])
def test_a_dead_source_is_left_alone_with_every_question(error):
    dead = Source([error])
    kept(HF, KEY, dead)

    other = kept(HF, "search?q=qwen", dead)

    assert dead.asked == 1
    assert other.payload is None
    assert other.error_code == error.code
    assert other.next_try_at is not None


def test_a_dead_source_beside_a_living_one_changes_nothing_there():
    kept(HF, KEY, Source([ProviderAway("No answer.")]))

    assert kept(OLLAMA, KEY, Source()).payload == "first"


def test_one_bad_question_leaves_the_others_of_its_source_alone():
    kept(HF, "details?name=gone", Source([ModelNotFound("No such model.")]))

    assert kept(HF, KEY, Source()).payload == "first"


def test_a_mistake_of_ours_is_raised_and_gives_the_claim_back():
    with pytest.raises(ZeroDivisionError):
        kept(HF, KEY, lambda: 1 // 0)
    with pytest.raises(ValueError, match="invalid literal"):
        kept(OLLAMA, KEY, lambda: int("x"))

    assert not CatalogEntry.objects.exclude(refreshing_until=None).exists()


def test_what_cannot_be_kept_is_a_named_failure():
    large = kept(HF, KEY, lambda: "x" * (2 * 10**6 + 1))
    strange = kept(OLLAMA, KEY, lambda: [float("nan")])

    assert large.error_code == strange.error_code == "catalogue_changed"
    assert large.payload is strange.payload is None


def test_text_that_no_database_holds_is_cleaned():
    strange = {"a\0": ["b\0c", "\ud800d", {"e": "zażółć 😀"}, 1, None]}

    assert kept(HF, KEY, lambda: strange).payload == {
        "a": ["bc", "�d", {"e": "zażółć 😀"}, 1, None]
    }


def test_a_long_key_is_bounded_and_still_its_own():
    keys = [f"search?q={'x' * 500}{number}" for number in range(2)]

    answers = [kept(HF, key, lambda key=key: key[-1]).payload for key in keys]

    assert answers == ["0", "1"]
    assert all(len(row.key) <= 300 for row in CatalogEntry.objects.all())


def test_typed_questions_are_bounded_and_lists_stay(monkeypatch):
    monkeypatch.setattr(kept_rows, "MOST_PASSING", 5)
    kept(HF, KEY, Source())
    kept(OLLAMA, "search?q=here", Source())

    for number in range(12):
        kept(HF, f"search?q={number}", Source())

    keys = set(CatalogEntry.objects.values_list("source", "key"))
    typed = {(HF, f"search?q={number}") for number in range(7, 12)}
    assert keys == typed | {(HF, KEY), (OLLAMA, "search?q=here")}


def test_a_look_is_noted_but_not_each_time():
    kept(HF, KEY, Source())
    CatalogEntry.objects.update(viewed_at=timezone.now() - timedelta(days=2))

    kept(HF, KEY, Source(), wait=False)
    first = CatalogEntry.objects.get().viewed_at
    kept(HF, KEY, Source(), wait=False)

    assert first > timezone.now() - timedelta(minutes=1)
    assert CatalogEntry.objects.get().viewed_at == first


def test_a_process_that_died_in_the_middle_frees_its_claim_by_time():
    source = Source()
    kept(HF, KEY, source)
    age(minutes=31)
    row = CatalogEntry.objects.get()
    assert kept_rows.claim(row) is not None

    age(seconds=21)

    assert kept(HF, KEY, source).payload == "second"


def test_a_caller_given_up_for_dead_changes_nothing_any_more():
    kept(HF, KEY, Source())
    age(minutes=31)
    row = CatalogEntry.objects.get()
    old = kept_rows.claim(row)
    age(seconds=31)
    row.refresh_from_db()
    new = kept_rows.claim(row)

    kept_rows.keep(row, old, "late")
    kept_rows.note_failure(row, old, "provider_failed", "late")

    row.refresh_from_db()
    assert (row.payload, row.error, row.refreshing_until) == ("first", "", new)


@pytest.mark.django_db(transaction=True)
def test_of_those_who_ask_at_once_one_asks_and_the_others_wait_for_it():
    entered, leave = threading.Event(), threading.Event()
    calls = []

    def slow():
        calls.append(1)
        entered.set()
        assert leave.wait(20)
        return "fresh"

    first = in_thread(lambda: kept(HF, KEY, slow))
    assert entered.wait(20)
    others = []
    more = in_thread(
        lambda: others.extend(at_once(kept, *[(HF, KEY, slow)] * 4)),
    )
    shown = kept(HF, KEY, slow, wait=False)
    leave.set()
    first.join()
    more.join()

    assert calls == [1]
    assert [other.payload for other in others] == ["fresh"] * 4
    assert shown.is_refreshing
    assert shown.payload is None


@pytest.mark.django_db(transaction=True)
def test_who_waits_too_long_gets_the_old_copy(monkeypatch):
    monkeypatch.setattr(kept_answers, "WAIT_SECONDS", 0.2)
    kept(HF, KEY, Source(["old"]))
    age(minutes=31)
    entered, leave = threading.Event(), threading.Event()

    def slow():
        entered.set()
        assert leave.wait(20)
        return "fresh"

    first = in_thread(lambda: kept(HF, KEY, slow))
    assert entered.wait(20)

    shown = kept(HF, KEY, slow)

    assert (shown.payload, shown.stale, shown.is_refreshing) == ("old", True, True)
    leave.set()
    first.join()
    wait_until(lambda: kept(HF, KEY, slow).payload == "fresh", seconds=10)
