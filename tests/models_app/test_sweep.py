"""The sweep: what fell is picked up once, whatever the clocks say."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import psutil
import pytest
from django.db import OperationalError
from django.utils import timezone

from models_app.choices import OperationStatus, PendingPhase
from models_app.models import Operation
from models_app.services import claims, operations, sweep
from tests.factories import NodeFactory, OperationFactory
from tests.threads import at_once
from venom_site.clients import processes

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def dead_worker():
    """The identity of a process of this machine that has ended."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = processes._started(psutil.Process(child.pid))
    worker = f"test-node|{processes._machine()}|{child.pid}|{started}"
    assert not processes.is_gone(worker)
    child.communicate(b"\n")
    return worker


def sent():
    return set(
        Operation.objects.pending()
        .filter(dispatched_at__isnull=False)
        .values_list("pk", flat=True)
    )


def test_an_operation_whose_worker_died_is_queued_again(dead_worker):
    operation = OperationFactory(running=True, worker=dead_worker)

    sweep.sweep_operations()

    operation.refresh_from_db()
    assert operation.status == OperationStatus.PENDING
    assert operation.phase == PendingPhase.INTERRUPTED
    assert operation.attempts == 1
    assert operation.pk in sent()


def test_one_that_lives_is_left_alone():
    operation = OperationFactory(running=True, worker=processes.identity("test-node"))

    sweep.sweep_operations()

    operation.refresh_from_db()
    assert operation.status == OperationStatus.IN_PROGRESS


def test_ten_sweeps_at_once_pick_an_operation_up_once(dead_worker):
    operation = OperationFactory(running=True, worker=dead_worker)

    at_once(sweep.sweep_operations, *[()] * 10)

    operation.refresh_from_db()
    assert operation.interruptions == 1
    assert operation.lines.count() == 1


def test_a_cancelled_one_whose_worker_died_is_cancelled(dead_worker):
    operation = OperationFactory(
        running=True, worker=dead_worker, cancel_requested=True
    )

    sweep.sweep_operations()

    operation.refresh_from_db()
    assert operation.status == OperationStatus.CANCELLED


def test_a_paused_one_whose_worker_died_stays_paused(dead_worker):
    operation = OperationFactory(running=True, worker=dead_worker, pause_requested=True)

    sweep.sweep_operations()

    operation.refresh_from_db()
    assert operation.phase == PendingPhase.PAUSED
    assert operation.pk not in sent()


def test_a_heartbeat_that_stands_still_is_stale_and_one_that_moves_is_not():
    watch = sweep.StandstillWatch(stale_seconds=6)
    row = OperationFactory.build(running=True)

    assert watch.stale([row], 100) == []
    assert watch.stale([row], 106) == []
    assert watch.stale([row], 106.1) == [row]
    row.heartbeat += 1
    assert watch.stale([row], 108) == []


def test_after_a_pause_of_our_own_the_watch_starts_anew():
    watch = sweep.StandstillWatch(stale_seconds=6)
    row = OperationFactory.build(running=True)
    watch.stale([row], 100)

    assert watch.stale([row], 100 + 61) == []
    watch.forget()
    assert watch.stale([row], 100 + 70) == []
    assert watch.stale([row], 100 + 77) == [row]


@pytest.mark.parametrize("hours", [-5, 5], ids=["clock went on", "clock went back"])
def test_a_message_from_another_time_is_sent_again(hours):
    when = timezone.now() + timedelta(hours=hours)
    operation = OperationFactory(dispatched_at=when)

    sweep.send_unsent()

    operation.refresh_from_db()
    assert abs(timezone.now() - operation.dispatched_at) < timedelta(seconds=30)


def test_a_new_worker_sends_again_what_its_predecessor_took_along():
    now = timezone.now()
    operation = OperationFactory(dispatched_at=now)
    elsewhere = OperationFactory(node=NodeFactory(name="other"), dispatched_at=now)

    sweep.at_worker_start()

    operation.refresh_from_db()
    elsewhere.refresh_from_db()
    assert operation.dispatched_at > now
    assert elsewhere.dispatched_at == now


def test_scheduled_and_paused_ones_are_not_sent():
    later = timezone.now() + timedelta(hours=1)
    OperationFactory(not_before=later, phase=PendingPhase.SCHEDULED)
    OperationFactory(pause_requested=True, phase=PendingPhase.PAUSED)
    due = OperationFactory(not_before=timezone.now(), phase=PendingPhase.SCHEDULED)

    sweep.sweep_operations()

    assert sent() == {due.pk}


def test_only_the_first_of_a_lock_is_sent():
    first = OperationFactory(lock_key="test-node|probe|a")
    OperationFactory(lock_key="test-node|probe|a")

    sweep.sweep_operations()

    assert sent() == {first.pk}


@pytest.mark.parametrize("end", ["cancel_operation", "pause_operation"])
def test_the_next_in_line_is_woken_when_the_first_steps_aside(actor, end):
    first = OperationFactory(lock_key="test-node|probe|a")
    second = OperationFactory(lock_key="test-node|probe|a")
    assert claims.claim(second.pk) is None
    second.refresh_from_db()
    assert second.phase == PendingPhase.WAITING

    getattr(operations, end)(first, actor=actor)

    assert second.pk in sent()


def test_a_database_that_is_away_ends_no_worker(monkeypatch, caplog):
    def away():
        raise OperationalError("the database system is shutting down")

    monkeypatch.setattr(sweep.nodes, "mark_seen", away)

    sweep.sweep_operations()
    sweep.at_worker_start()

    assert "the next one follows" in caplog.text
