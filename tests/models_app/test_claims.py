"""Carrying out: endings, caps, and a database that comes and goes."""

from __future__ import annotations

import threading

import pytest
from django.db import OperationalError
from django.utils import translation

from models_app.choices import OperationStatus, PendingPhase
from models_app.models import Operation
from models_app.services import claims, operations, probe, work
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
    claims._wake_same_type(ended.operation)

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
