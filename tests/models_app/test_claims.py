"""Carrying out: endings, caps, and a database that comes and goes."""

from __future__ import annotations

import threading

import pytest
from django.db import OperationalError
from django.utils import translation

from models_app.choices import OperationStatus, PendingPhase
from models_app.models import Operation
from models_app.schemas.operations import operation_payload
from models_app.services import claims, operations, probe, turns, work
from tests.factories import OperationFactory
from tests.threads import at_once, in_thread
from venom_site.lib.errors import VenomError

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def draining():
    work.DRAINING.set()
    yield
    work.DRAINING.clear()


def started(pk):
    """The line of a running operation's worker, waiting at its first step."""
    return in_thread(claims.carry_out, pk, probe.perform_probe)


def wait_for(pk, **fields):
    """Until the row has these values; a deadline instead of luck."""
    for _ in range(100):
        if found := Operation.objects.filter(pk=pk, **fields).first():
            return found
        threading.Event().wait(0.05)
    raise AssertionError(f"never {fields}: {Operation.objects.get(pk=pk).__dict__}")


def test_a_leaving_worker_gives_back_and_the_attempt_does_not_count(draining):
    operation = OperationFactory()
    taken = claims.claim(operation.pk)

    claims._write_ending(taken, claims._perform(taken, probe.perform_probe))

    operation.refresh_from_db()
    assert operation.status == OperationStatus.PENDING
    assert operation.phase == PendingPhase.INTERRUPTED
    assert operation.attempts == 0
    assert operation.claim_token is None


def test_a_leaving_worker_takes_nothing_new(draining):
    operation = OperationFactory()

    claims.carry_out(operation.pk, probe.perform_probe)

    operation.refresh_from_db()
    assert operation.attempts == 0


def test_the_wish_to_cancel_survives_a_leaving_worker(actor):
    operation = OperationFactory()
    taken = claims.claim(operation.pk)
    operations.cancel_operation(operation, actor=actor)

    claims._write_ending(taken, work.Draining())

    operation.refresh_from_db()
    assert operation.status == OperationStatus.CANCELLED


def test_a_pause_taken_back_in_time_goes_on_at_once(actor):
    operation = OperationFactory()
    taken = claims.claim(operation.pk)
    operations.pause_operation(operation, actor=actor)
    operations.resume_operation(operation, actor=actor)

    claims._write_ending(taken, work.Paused())

    operation.refresh_from_db()
    assert operation.phase == PendingPhase.QUEUED
    assert operation.dispatched_at is not None


def test_a_database_that_goes_away_interrupts_and_fails_nothing():
    operation = OperationFactory()

    def lose_the_database(_work):
        raise OperationalError("server closed the connection unexpectedly")

    claims.carry_out(operation.pk, lose_the_database)

    operation.refresh_from_db()
    assert operation.phase == PendingPhase.INTERRUPTED
    assert operation.interruptions == 1
    assert "goes on by itself" in operation.lines.get().line


def test_twenty_interruptions_without_progress_are_enough():
    operation = OperationFactory(running=True, interruptions=19)

    claims.interrupt(operation.pk, operation.claim_token, "Lost.")

    operation.refresh_from_db()
    assert operation.status == OperationStatus.FAILED
    assert operation.error_code == "interrupted_too_often"


def test_eight_claims_at_once_keep_to_the_cap_of_their_type():
    rows = [OperationFactory() for _ in range(8)]

    at_once(claims.claim, *[(row.pk,) for row in rows])

    assert Operation.objects.running().count() == 4


def test_an_end_wakes_as_many_as_there_is_room_for():
    claims.claim(OperationFactory().pk)
    ended = claims.claim(OperationFactory().pk)
    waiting = [OperationFactory() for _ in range(5)]

    claims._write_ending(ended, None)
    turns.wake_others(ended.operation)

    sent = Operation.objects.pending().filter(dispatched_at__isnull=False)
    assert {row.pk for row in sent} == {row.pk for row in waiting[:3]}


def test_what_is_stored_is_english_in_every_language(actor):
    operation = OperationFactory()

    def fail(_work):
        raise VenomError  # the sentence is translated when it is read

    with translation.override("pl"):
        claims.carry_out(operation.pk, fail)
        operations.retry_operation(operations.get_operation(operation.pk), actor=actor)
        operations.cancel_operation(operation, actor=actor)

    lines = list(operation.lines.values_list("line", flat=True))
    assert lines == [
        "The request could not be carried out.",
        "Retried by system.",
        "Cancelled by system.",
    ]


def test_a_report_the_table_would_refuse_is_fitted_or_refused():
    taken = claims.claim(OperationFactory().pk)

    taken.report(progress=100.0001, message="m" * 900, phase="p" * 90)

    with pytest.raises(TypeError, match="colour"):
        taken.report(colour="red")
    claims._write_ending(taken, None)
    row = Operation.objects.get(pk=taken.operation.pk)
    assert (row.progress, len(row.message)) == (100, 500)


def test_a_fenced_worker_writes_no_log():
    taken = claims.claim(OperationFactory().pk)
    claims.interrupt(taken.operation.pk, taken.token, "Lost.")

    with pytest.raises(work.Fenced):
        taken.log("I am still here.")
    with pytest.raises(work.Fenced):
        taken.checkpoint(step=3)


@pytest.mark.slow
def test_a_running_probe_ends_within_two_seconds_of_the_wish(actor):
    operation = probe.request_probe(60, actor=actor)
    worker = started(operation.pk)
    running = wait_for(operation.pk, status=OperationStatus.IN_PROGRESS)

    operations.cancel_operation(running, actor=actor)
    worker.join(2)

    assert not worker.is_alive()
    wait_for(operation.pk, status=OperationStatus.CANCELLED)


@pytest.mark.slow
def test_a_paused_probe_goes_on_behind_its_last_step(actor):
    operation = probe.request_probe(3, actor=actor)
    worker = started(operation.pk)
    running = wait_for(operation.pk, progress__gt=30)
    operations.pause_operation(running, actor=actor)
    worker.join(3)
    paused = wait_for(operation.pk, phase=PendingPhase.PAUSED)
    assert claims.claim(operation.pk) is None

    operations.resume_operation(paused, actor=actor)
    claims.carry_out(operation.pk, probe.perform_probe)

    ended = wait_for(operation.pk, status=OperationStatus.COMPLETED)
    lines = list(ended.lines.values_list("line", flat=True))
    assert lines.count("Step 1 of 3.") == 1
    assert lines[-1] == "Completed."


@pytest.mark.parametrize(
    ("first", "second"),
    [("remove", "activate"), ("activate", "remove"), ("load", "remove")],
)
def test_removing_a_model_and_bringing_it_into_memory_wait_for_each_other(
    first, second
):
    model = {"provider": "ollama", "params": {}}
    running = OperationFactory(operation_type=first, model_name="gemma3:4b", **model)
    waiting = OperationFactory(operation_type=second, model_name="Gemma3:4B", **model)
    other = OperationFactory(operation_type=second, model_name="phi3:mini", **model)
    taken = claims.claim(running.pk)

    assert claims.claim(waiting.pk) is None
    assert claims.claim(other.pk) is not None, "another model is free"

    waiting.refresh_from_db()
    assert waiting.phase == PendingPhase.WAITING
    claims._write_ending(taken, None)
    turns.wake_others(taken.operation)
    waiting.refresh_from_db()
    assert waiting.dispatched_at is not None
    assert claims.claim(waiting.pk) is not None


def test_a_removal_and_an_activation_claimed_at_once_never_both_run():
    rows = [
        OperationFactory(
            operation_type=kind, model_name="gemma3:4b", provider="ollama", params={}
        )
        for kind in ("remove", "activate") * 2
    ]

    at_once(claims.claim, *[(row.pk,) for row in rows])

    running = Operation.objects.running().values_list("operation_type", flat=True)
    assert len(set(running)) == 1


def test_downloads_keep_to_the_setting(settings):
    fresh = settings.ENV.model_dump() | {"VENOM_MAX_DOWNLOADS": 3}
    settings.ENV = type(settings.ENV).model_validate(fresh)
    rows = [
        OperationFactory(operation_type="install", model_name=f"m{n}:1b", params={})
        for n in range(6)
    ]

    at_once(claims.claim, *[(row.pk,) for row in rows])

    assert Operation.objects.running().count() == 3


def test_a_download_beyond_the_cap_names_the_one_that_began_first(settings):
    limits = {"VENOM_MAX_DOWNLOADS": 2}
    settings.ENV = settings.ENV.model_copy(update=limits)
    OperationFactory(running=True)  # of another type
    first, second, third = (
        OperationFactory(operation_type="install", model_name=f"m{n}:1b", params={})
        for n in range(3)
    )
    works = [claims.claim(first.pk), claims.claim(second.pk)]

    assert claims.claim(third.pk) is None

    row = operations.get_operation(third.pk)
    assert (row.phase, row.waiting_for) == ("waiting", first)
    assert operation_payload(row)["waiting_for"] == str(first.pk)
    assert Operation.objects.get(pk=third.pk).waiting_for_id == first.pk
    claims._write_ending(works[0], None)
    assert operations.get_operation(third.pk).waiting_for == second
    assert claims.claim(third.pk) is not None
    assert operations.get_operation(third.pk).waiting_for is None


def test_a_download_that_nobody_has_tried_yet_waits_for_nobody():
    OperationFactory(operation_type="install", model_name="a:1b", running=True)
    fresh = OperationFactory(operation_type="install", model_name="b:1b")

    assert operations.get_operation(fresh.pk).waiting_for is None


def test_a_note_is_written_with_the_next_beat_and_in_order():
    operation = OperationFactory()

    def perform(taken):
        taken.note(line="The first.", part="a")
        wait_for(operation.pk, checkpoint={"part": "a"})
        taken.note(line="The second.", level="warning", done=3)
        taken.checkpoint(line="The third.", step=1)
        taken.note(line="The last.")

    claims.carry_out(operation.pk, perform)

    operation.refresh_from_db()
    assert operation.checkpoint == {"part": "a", "done": 3, "step": 1}
    assert list(operation.lines.values_list("level", "line")) == [
        ("info", "The first."),
        ("warning", "The second."),
        ("info", "The third."),
        ("info", "The last."),
        ("info", "Completed."),
    ]


def test_notes_of_a_fenced_worker_are_not_written():
    taken = claims.claim(OperationFactory().pk)
    claims.interrupt(taken.operation.pk, taken.token, "Lost.")
    taken.note(line="I am still here.", step=9)

    claims._write_ending(taken, None)

    row = Operation.objects.get(pk=taken.operation.pk)
    assert row.checkpoint == {}
    assert [line.line for line in row.lines.all()] == ["Lost."]
