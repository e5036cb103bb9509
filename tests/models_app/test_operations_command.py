"""`manage.py operations`, as a person and as a script use it."""

from __future__ import annotations

import io
import json
import os
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper
from django.utils import timezone

from history_app.models import AuditEntry
from models_app.management import following
from models_app.models import Operation
from models_app.services import claims, operations
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

    with pytest.raises(CommandError, match=r"told to fail\..*probe_told_to_fail"):
        run("show", str(failed.pk), "--wait")


def test_a_cancel_that_is_waited_for_is_a_good_end():
    operation = OperationFactory()

    assert "cancelled" in run("cancel", str(operation.pk), "--wait", stderr=Terminal())


def download(**fields):
    """A running download as its worker last wrote it."""
    usual = {
        "operation_type": "install",
        "model_name": "gemma3:4b",
        "phase": "downloading",
        "progress": 42.0,
        "bytes_done": 1_400_000_000,
        "bytes_total": 3_300_000_000,
        "speed_bps": 11_200_000,
        "progressed_at": timezone.now(),
    }
    return OperationFactory(running=True, **(usual | fields))


def advance(operation, **fields):
    Operation.objects.filter(pk=operation.pk).update(**fields)


def end(operation):
    fields = {
        "status": "completed",
        "claim_token": None,
        "completed_at": timezone.now(),
    }
    advance(operation, **fields)


def followed(operation, out, *steps):
    """Follow it while a worker takes one step for each line that was drawn."""
    seen = OutputWrapper(out)
    waiting = [*steps, lambda: end(operation)]
    tell = seen.flush

    def drawn():
        tell()
        if waiting:
            waiting.pop(0)()

    seen.flush = drawn
    return following.follow(operation, seen)


def test_a_terminal_gets_one_line_with_bytes_speed_and_time_left():
    terminal = Terminal()

    followed(download(), terminal)

    [line, *_] = terminal.getvalue().strip("\r").split("\033[K")
    assert "█" in line
    for words in ("42 %", "1.4 of 3.3 GB", "11.2 MB/s", "about 3 min left"):
        assert words in line
    assert "\n" not in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\033[K"), "the line is taken away again"


def test_a_line_that_has_not_changed_is_not_drawn_again(monkeypatch):
    looks, terminal, operation = [], Terminal(), download(progressed_at=None)
    monkeypatch.setattr(following, "LOOK_SECONDS", 0)
    get = operations.get_operation

    def look(pk):
        looks.append(pk)
        if len(looks) == 3:
            end(operation)
        return get(pk)

    monkeypatch.setattr(operations, "get_operation", look)
    following.follow(operation, OutputWrapper(terminal))

    assert terminal.getvalue().count("42 %") == 1


@pytest.mark.parametrize("columns", [20, 60, 200])
def test_a_line_is_never_wider_than_the_terminal(columns, monkeypatch):
    size = os.terminal_size((columns, 24))
    monkeypatch.setattr(os, "get_terminal_size", lambda _descriptor: size)
    terminal = Terminal()
    terminal.fileno = lambda: 1

    followed(download(message="Fetching a part with a long name " * 9), terminal)

    line = terminal.getvalue().strip("\r").split("\033[K")[0]
    assert 10 < len(line) < columns


def test_an_old_terminal_gets_a_bar_of_plain_signs():
    terminal = Terminal()
    OldWrapper = type("OldWrapper", (OutputWrapper,), {"encoding": "ascii"})

    assert following._blocks(OldWrapper(terminal)) == ("#", "-")


def test_words_of_a_neighbour_do_not_steer_the_terminal():
    terminal = Terminal()

    followed(download(message="evil \033[2J\n\r words"), terminal)

    assert "\033[2J" not in terminal.getvalue()
    assert "evil" in terminal.getvalue()


def test_a_file_gets_a_line_for_every_tenth(monkeypatch):
    monkeypatch.setattr(following, "LOOK_SECONDS", 0)
    file, operation = io.StringIO(), download(progress=1)

    followed(
        operation,
        file,
        lambda: advance(operation, progress=30),
        lambda: advance(operation, progress=61),
    )

    lines = file.getvalue().splitlines()
    assert [line.split(":")[2].split("%")[0].strip() for line in lines] == [
        "1",
        "30",
        "61",
    ]
    assert "\r" not in file.getvalue()


def test_ctrl_c_leaves_it_running_and_says_its_id():
    operation = download()

    def leave():
        raise KeyboardInterrupt

    with pytest.raises(CommandError, match=str(operation.pk)) as left:
        followed(operation, Terminal(), leave)

    assert left.value.returncode == 130
    operation.refresh_from_db()
    assert operation.is_running
    assert not operation.cancel_requested


def test_an_operation_that_no_worker_takes_says_so():
    operation = OperationFactory(created_at=timezone.now() - timedelta(seconds=60))

    assert "no worker" in following.progress_words(operation)
    assert "no worker" not in following.progress_words(OperationFactory())


@pytest.mark.parametrize(
    "words", [("show", "x"), ("probe", "0"), ("probe", "601"), ("probe", "--", "-1")]
)
def test_what_cannot_be_is_one_sentence(words):
    with pytest.raises(CommandError):
        run(*words)
