"""The recorder: batches, a database that is away, values that do not fit."""

import threading
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import OperationalError
from django.utils import timezone

from history_app import recorder as module
from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from history_app.recorder import Recorder
from history_app.services import batches, lost, retention
from tests.factories.history import RequestRecordFactory
from tests.fakes.waiting import wait_until
from venom_site.lib import events


@pytest.fixture
def by_hand(db, monkeypatch):
    """A recorder without its thread: the test flushes."""
    recorder = Recorder()
    monkeypatch.setattr(recorder, "_start", lambda: None)
    return recorder


def keep_prompts(monkeypatch, how: str) -> None:
    env = settings.ENV.model_copy(update={"VENOM_STORE_PROMPTS": how})
    monkeypatch.setattr(settings, "ENV", env)


def test_a_row_is_written_open_and_then_closed(by_hand):
    handle = by_hand.begin(
        path="/v1/x", requested_model="auto", parameters={"stop": "żółw", "n": 2}
    )
    by_hand.flush()
    row = RequestRecord.objects.get()
    assert (row.status, row.finished_at) == (RequestStatus.PROCESSING, None)
    handle.update(llm_provider="ollama")
    handle.end(RequestStatus.COMPLETED, duration_seconds=1.5)
    by_hand.flush()
    row = RequestRecord.objects.get()
    assert (row.status, row.llm_provider) == (RequestStatus.COMPLETED, "ollama")
    assert row.finished_at >= row.created_at == handle.fields["created_at"]
    assert row.parameters == {"stop": "żółw", "n": 2}
    assert (row.duration_seconds, row.partial, row.cost_usd) == (1.5, False, None)
    assert row.request_id == str(row.pk)


def test_a_short_request_is_one_statement(by_hand, django_assert_num_queries):
    handles = [by_hand.begin() for _ in range(20)]
    for handle in handles:
        handle.end(RequestStatus.COMPLETED)
    with django_assert_num_queries(3):  # savepoint, one upsert, release
        by_hand.flush()
    assert RequestRecord.objects.finished().count() == 20


def test_the_first_end_counts(by_hand):
    handle = by_hand.begin()
    handle.end(RequestStatus.CANCELLED)
    handle.end(RequestStatus.FAILED, error_code="late")
    by_hand.flush()
    assert RequestRecord.objects.get().status == RequestStatus.CANCELLED


def test_rows_wait_while_the_database_is_away(by_hand, monkeypatch):
    def away(_rows):
        raise OperationalError("database is locked")

    handle = by_hand.begin()
    with monkeypatch.context() as patched:
        patched.setattr(batches, "write", away)
        with pytest.raises(OperationalError):
            by_hand.flush()
        handle.end(RequestStatus.COMPLETED)
        with pytest.raises(OperationalError):
            by_hand.flush()
    by_hand.flush()
    assert RequestRecord.objects.get().status == RequestStatus.COMPLETED


def test_beyond_the_bound_rows_are_dropped_and_counted(by_hand, monkeypatch, caplog):
    monkeypatch.setattr(module, "MOST_ROWS", 3)
    handles = [by_hand.begin() for _ in range(5)]
    handles[0].end(RequestStatus.COMPLETED)
    by_hand.flush()
    assert RequestRecord.objects.count() == 3
    assert "rows=2" in caplog.text


def test_values_that_do_not_fit_are_fitted(by_hand):
    handle = by_hand.begin(
        prompt="half a pair \ud800 and NUL \0",
        requested_model="m" * 5000,
        parameters={"stop": "\0\udfff"},
    )
    handle.end(RequestStatus.FAILED, error_message="e" * 5000, http_status=502)
    by_hand.flush()
    row = RequestRecord.objects.get()
    assert len(row.requested_model) == 250
    assert len(row.error_message) == 500
    assert "\0" not in row.prompt_preview


def test_one_impossible_row_does_not_hold_up_the_others(by_hand, caplog):
    by_hand.begin().end(RequestStatus.COMPLETED, http_status=-1)
    by_hand.begin().end(RequestStatus.COMPLETED, http_status=200)
    by_hand.flush()
    assert RequestRecord.objects.get().http_status == 200
    assert "history row dropped" in caplog.text


@pytest.mark.parametrize(
    ("how", "length"), [("none", 0), ("preview", 500), ("full", 2000)]
)
def test_prompts_are_kept_as_the_setting_says(by_hand, monkeypatch, how, length):
    keep_prompts(monkeypatch, how)
    by_hand.begin(prompt="ż" * 2000)
    by_hand.flush()
    assert len(RequestRecord.objects.get().prompt_preview) == length


@pytest.mark.parametrize("place", [0, 480, 495])
def test_a_secret_in_a_prompt_is_masked_even_on_the_edge(by_hand, place):
    secret = "sk-" + "9f2a" * 10
    by_hand.begin(prompt="x " * (place // 2) + secret + " more")
    by_hand.flush()
    kept = RequestRecord.objects.get().prompt_preview
    assert "9f2a9f2a" not in kept


def test_ended_requests_are_told_of_once_and_without_contents(by_hand, monkeypatch):
    told = []
    monkeypatch.setattr(events, "publish_now", told.append)
    handle = by_hand.begin(prompt="What is the weather?")
    by_hand.flush()
    assert told == []
    handle.end(RequestStatus.COMPLETED)
    by_hand.flush()
    by_hand.flush()
    assert [event.type for event in told] == ["request.finished"]
    assert told[0].data["request_id"] == str(handle.id)
    assert "weather" not in str(told[0].data)


def test_open_rows_show_a_sign_of_life(by_hand):
    handle = by_hand.begin()
    later = timezone.now() + timedelta(minutes=1)
    by_hand._touch_open(later)
    by_hand.flush()
    assert RequestRecord.objects.get(pk=handle.id).touched_at == later


@pytest.mark.django_db(transaction=True)
def test_the_thread_writes_by_itself_and_from_many_threads():
    recorder = Recorder()

    def serve():
        for _ in range(50):
            recorder.begin().end(RequestStatus.COMPLETED)

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: RequestRecord.objects.finished().count() == 200)
    wait_until(lambda: recorder.waiting == 0)


@pytest.mark.django_db
def test_a_silent_request_is_lost_after_five_minutes():
    now = timezone.now()
    silent = RequestRecordFactory(running=True, touched_at=now - timedelta(minutes=6))
    alive = RequestRecordFactory(running=True, touched_at=now - timedelta(minutes=4))
    assert lost.mark_lost_requests() == 1
    assert lost.mark_lost_requests() == 0
    silent.refresh_from_db()
    alive.refresh_from_db()
    assert (silent.status, silent.error_retryable) == (RequestStatus.LOST, True)
    assert silent.finished_at is not None
    assert alive.status == RequestStatus.PROCESSING


@pytest.mark.django_db
def test_a_lost_request_that_ends_after_all_is_corrected(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(recorder, "_start", lambda: None)
    handle = recorder.begin()
    recorder.flush()
    RequestRecord.objects.update(touched_at=timezone.now() - timedelta(minutes=6))
    assert lost.mark_lost_requests() == 1
    handle.end(RequestStatus.COMPLETED)
    recorder.flush()
    assert RequestRecord.objects.get().status == RequestStatus.COMPLETED


@pytest.mark.django_db
def test_old_requests_go_in_batches_and_young_ones_stay(monkeypatch):
    monkeypatch.setattr(retention, "BATCH_ROWS", 2)
    old = timezone.now() - timedelta(days=31)
    RequestRecordFactory.create_batch(5, created_at=old)
    young = RequestRecordFactory()
    assert retention.apply_retention() == 5
    assert retention.apply_retention() == 0
    assert RequestRecord.objects.get() == young
