"""The recorder: batches, a database that is away, values that do not fit."""

import threading
import time
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import OperationalError
from django.db.backends.signals import connection_created
from django.utils import timezone

from history_app import recorder as module
from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from history_app.recorder import Recorder
from history_app.services import batches, lost, retention, writer
from tests.factories.history import TRACE, RequestRecordFactory
from tests.fakes.waiting import wait_until
from venom_site.lib import events


def recorder_by_hand(monkeypatch) -> Recorder:
    monkeypatch.setattr(writer.Writer, "_start", lambda _self: None)
    return Recorder()


@pytest.fixture
def by_hand(db, monkeypatch):
    """A recorder without its thread: the test flushes."""
    return recorder_by_hand(monkeypatch)


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


def test_a_short_request_is_written_once_beside_others(
    by_hand, django_assert_num_queries
):
    handles = [by_hand.begin() for _ in range(72)]
    for handle in handles:
        handle.end(RequestStatus.COMPLETED)
    with django_assert_num_queries(4):  # savepoint, an upsert of 64 and of 8, release
        by_hand.flush()
    assert RequestRecord.objects.finished().count() == 72


def test_while_rows_come_they_are_written_over_one_connection(
    transactional_db, monkeypatch
):
    opened, recorder = [], Recorder()

    def note(connection, **_signal) -> None:
        if threading.current_thread().name == "history-writer":
            opened.append(connection)

    def write_one() -> int:
        recorder.begin().end(RequestStatus.COMPLETED)
        wait_until(lambda: not recorder.waiting)
        return len(opened)

    connection_created.connect(note)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(writer, "REST_SECONDS", 60.0)
            assert [write_one() for _ in range(3)] == [1, 1, 1]
        monkeypatch.setattr(writer, "REST_SECONDS", 0.0)
        wait_until(lambda: write_one() > 1)  # when none come it is closed
    finally:
        connection_created.disconnect(note)


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
    monkeypatch.setattr(writer, "MOST_ROWS", 3)
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


def test_open_rows_show_a_sign_of_life_each_minute_however_busy_it_is(
    transactional_db, monkeypatch
):
    """A long answer was LOST after five minutes wherever others never paused."""
    monkeypatch.setattr(writer, "MINUTE_SECONDS", 0.3)
    monkeypatch.setattr(module, "MINUTE_SECONDS", 0.2)
    recorder = Recorder()
    handle = recorder.begin()
    begun = handle.fields["created_at"]

    def is_touched() -> bool:
        recorder.begin().end(RequestStatus.COMPLETED)  # never without work
        row = RequestRecord.objects.filter(pk=handle.id).first()
        return row is not None and row.touched_at > begun

    wait_until(is_touched, seconds=5)
    handle.end(RequestStatus.COMPLETED)
    recorder.flush_at_exit()
    touched = RequestRecord.objects.get(pk=handle.id).touched_at
    time.sleep(0.7)
    recorder.flush_at_exit()
    assert RequestRecord.objects.get(pk=handle.id).touched_at == touched


def test_what_comes_after_the_end_changes_nothing(by_hand):
    handle = by_hand.begin()
    handle.end(RequestStatus.COMPLETED, output_tokens=3)
    handle.update(output_tokens=4)
    by_hand.flush()
    assert RequestRecord.objects.get().output_tokens == 3


def test_a_state_that_comes_late_or_twice_changes_nothing(by_hand):
    handle = by_hand.begin()
    early = handle.fields
    handle.update(attempts=1)
    middle = handle.fields
    handle.end(RequestStatus.COMPLETED)
    batches.write([middle])
    batches.write([handle.fields])
    batches.write([early, middle])
    row = RequestRecord.objects.get()
    assert (row.status, row.attempts) == (RequestStatus.COMPLETED, 1)


def test_a_clock_that_steps_back_hides_no_end(by_hand, monkeypatch):
    handle = by_hand.begin()
    ahead = timezone.now() + timedelta(hours=1)
    handle.fields = {**handle.fields, "created_at": ahead, "touched_at": ahead}
    by_hand._writer.put(handle.id, handle.fields)
    by_hand.flush()
    handle.end(RequestStatus.FAILED)
    by_hand.flush()
    assert RequestRecord.objects.get().status == RequestStatus.FAILED


@pytest.mark.parametrize(
    ("how", "length"), [("none", 0), ("preview", 500), ("full", 2000)]
)
def test_answers_are_kept_as_prompts_are(by_hand, monkeypatch, how, length):
    keep_prompts(monkeypatch, how)
    by_hand.begin().end(RequestStatus.COMPLETED, answer="ó" * 2000)
    by_hand.flush()
    assert len(RequestRecord.objects.get().answer_preview) == length


def test_a_request_that_keeps_no_contents_keeps_neither(by_hand):
    handle = by_hand.begin(prompt="for your eyes only", keeps_contents=False)
    handle.end(RequestStatus.COMPLETED, answer="sealed")
    by_hand.flush()
    row = RequestRecord.objects.get()
    assert (row.prompt_preview, row.answer_preview) == ("", "")


def test_the_trace_and_every_count_reach_their_columns(by_hand):
    counts = {"cached_input_tokens": 3, "reasoning_tokens": 4, "queue_seconds": 0.5}
    handle = by_hand.begin(trace=TRACE)
    handle.end(RequestStatus.COMPLETED, **counts)
    by_hand.flush()
    row = RequestRecord.objects.get()
    assert row.trace == TRACE
    assert {name: getattr(row, name) for name in counts} == counts


def test_a_trace_with_what_no_database_takes_is_fitted(by_hand):
    trace = {**TRACE, "notes": ["NUL \0, half a pair \ud800, whole ones 🐢"]}
    by_hand.begin(trace=trace).end(RequestStatus.COMPLETED)
    by_hand.flush()
    note = RequestRecord.objects.get().trace["notes"][0]
    assert note == "NUL \ufffd, half a pair ?, whole ones 🐢"


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
    wait_until(lambda: RequestRecord.objects.finished().count() == 200, seconds=20)
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
    recorder = recorder_by_hand(monkeypatch)
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
