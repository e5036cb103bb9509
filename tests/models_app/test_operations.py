"""The state machine of operations, as services promise it."""

from __future__ import annotations

import pytest

from models_app.choices import OperationStatus
from models_app.models import Operation
from models_app.services import claims, operation_rows, operations, probe
from tests.factories import OperationFactory
from tests.threads import at_once
from venom_site.lib.errors import Conflict, OperationConflict

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.slow
def test_a_probe_runs_to_its_end_and_leaves_a_log(actor):
    operation = probe.request_probe(2, actor=actor)

    claims.carry_out(operation.pk, probe.perform_probe)

    operation.refresh_from_db()
    assert operation.status == OperationStatus.COMPLETED
    assert operation.progress == 100
    assert operation.attempts == 1
    lines = list(operation.lines.values_list("line", flat=True))
    assert lines == ["Step 1 of 2.", "Step 2 of 2.", "Completed."]


@pytest.mark.slow
def test_a_probe_told_to_fail_names_the_code(actor):
    operation = probe.request_probe(1, actor=actor, fail=True)

    claims.carry_out(operation.pk, probe.perform_probe)

    operation.refresh_from_db()
    assert operation.status == OperationStatus.FAILED
    assert operation.error_code == "probe_told_to_fail"


def test_the_same_wish_joins_and_another_one_is_refused(actor):
    first = operations.request_operation("activate", actor=actor, target_key="n|x")
    again = operations.request_operation("activate", actor=actor, target_key="n|x")

    assert again.pk == first.pk
    with pytest.raises(OperationConflict) as refusal:
        operations.request_operation("probe", actor=actor, target_key="n|x")
    assert refusal.value.extras["operation_id"] == str(first.pk)


def test_operations_of_one_lock_run_in_order_of_arrival():
    first = OperationFactory(lock_key="test-node|probe|a")
    second = OperationFactory(lock_key="test-node|probe|a")

    assert claims.claim(second.pk) is None
    assert claims.claim(first.pk) is not None
    assert claims.claim(second.pk) is None
    second.refresh_from_db()
    assert operations.get_operation(second.pk).waiting_for == first


def test_twenty_claims_at_once_take_an_operation_once():
    operation = OperationFactory()

    claimed = at_once(claims.claim, *[(operation.pk,)] * 20)

    assert len([work for work in claimed if work]) == 1


def test_a_pending_operation_is_cancelled_at_once(actor):
    operation = OperationFactory()

    cancelled = operations.cancel_operation(operation, actor=actor)

    assert cancelled.status == OperationStatus.CANCELLED
    with pytest.raises(Conflict):
        operations.cancel_operation(cancelled, actor=actor)


def test_a_fenced_worker_can_no_longer_write():
    operation = OperationFactory(running=True)
    Operation.objects.filter(pk=operation.pk).update(
        claim_token="00000000-0000-4000-8000-000000000000"
    )

    assert not operation_rows.finish(
        operation.pk, operation.claim_token, OperationStatus.COMPLETED
    )
    operation.refresh_from_db()
    assert operation.status == OperationStatus.IN_PROGRESS
