"""`manage.py operations`, as a person and as a script use it."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from history_app.models import AuditEntry
from models_app.models import Operation
from models_app.services import claims
from tests.factories import OperationFactory
from tests.fakes.waiting import wait_until
from tests.threads import in_thread

pytestmark = pytest.mark.django_db(transaction=True)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(*words, **options):
    out = io.StringIO()
    call_command("operations", *words, stdout=out, **options)
    return out.getvalue()


def test_the_list_can_be_filtered_and_read_by_scripts():
    failed = OperationFactory(failed=True)
    OperationFactory()

    found = json.loads(run("list", "--status", "failed", "--json"))

    assert [row["operation_id"] for row in found] == [str(failed.pk)]
    assert f"{failed.pk}  failed" in run("list")


def test_cancel_and_retry_are_noted_as_coming_from_the_terminal():
    operation = OperationFactory()

    assert "cancelled" in run("cancel", str(operation.pk))
    assert "pending" in run("retry", str(operation.pk))

    assert set(AuditEntry.objects.values_list("channel", flat=True)) == {"cli"}


@pytest.mark.slow
def test_a_probe_is_followed_with_a_bar_on_a_terminal():
    def work():
        wait_until(lambda: Operation.objects.exists())
        claims.carry_out(Operation.objects.get().pk, lambda work: work.wait(0.8))

    worker, terminal = in_thread(work), Terminal()
    shown = run("probe", "2", "--wait", stderr=terminal)
    worker.join()

    assert "completed" in shown
    assert "░" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\033[K")


def test_a_bad_end_is_a_bad_exit():
    failed = OperationFactory(failed=True)

    with pytest.raises(CommandError, match="ended as failed"):
        run("show", str(failed.pk), "--wait")


@pytest.mark.parametrize(
    "words", [("show", "x"), ("probe", "0"), ("probe", "601"), ("probe", "--", "-1")]
)
def test_what_cannot_be_is_one_sentence(words):
    with pytest.raises(CommandError):
        run(*words)
