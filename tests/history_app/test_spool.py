"""Rows on disk while the database is away, and back into it."""

import fcntl
import json
import stat
import threading
import time

import pytest
from django.conf import settings
from django.db import OperationalError

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from history_app.recorder import Recorder
from history_app.services import batches, lost, spool, writer
from tests.fakes.waiting import wait_until


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    return tmp_path / "spool"


def ended(recorder: Recorder, **fields) -> dict:
    handle = recorder.begin(prompt="What is the weather?", parameters={"n": 2})
    handle.end(RequestStatus.COMPLETED, answer="Sunny.", **fields)
    return handle.fields


@pytest.fixture
def rows(monkeypatch):
    """rows(3) → ended rows as handles hold them, which nobody writes."""

    def make(count: int) -> list[dict]:
        with monkeypatch.context() as patched:
            patched.setattr(writer.Writer, "_start", lambda _self: None)
            return [ended(Recorder(), output_tokens=n) for n in range(count)]

    return make


class Fault:
    """The database of the writer: well, away, or so slow that nobody hears of it."""

    def __init__(self, monkeypatch) -> None:
        self.is_away = False
        self.recorder = Recorder()
        self.pause = threading.Event()
        self.pause.set()
        for name in ("write", "write_storable", "probe"):
            monkeypatch.setattr(batches, name, self._behind(getattr(batches, name)))

    def end(self) -> None:
        """The writer's threads would go on trying into the next test."""
        self.is_away = False
        self.pause.set()
        wait_until(self.recorder._writer._is_paid)

    def _behind(self, call):
        def faulty(*arguments):
            self.pause.wait(20)
            if self.is_away:
                raise OperationalError("database is locked")
            return call(*arguments)

        return faulty


@pytest.fixture
def fault(transactional_db, folder, monkeypatch):
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(writer, "MOMENT_SECONDS", 0.05)
    fault = Fault(monkeypatch)
    yield fault
    fault.end()


def lines_in(folder) -> int:
    return sum(len(path.read_bytes().splitlines()) for path in folder.glob("*.jsonl"))


@pytest.mark.django_db
def test_spooled_rows_come_back_whole_and_the_file_goes(folder, rows):
    given = rows(3)
    kept = spool.Spool()
    kept.append(given[:2])
    kept.append(given[2:])
    assert kept.release()
    assert spool.replay() == 3
    assert spool.replay() == 0
    assert list(folder.iterdir()) == []
    row = RequestRecord.objects.get(pk=given[1]["id"])
    for name in ("created_at", "touched_at", "finished_at", "parameters", "status"):
        assert getattr(row, name) == given[1][name]
    assert (row.prompt_preview, row.answer_preview) == (
        "What is the weather?",
        "Sunny.",
    )


def test_only_the_owner_may_read_the_spool(folder, rows):
    kept = spool.Spool()
    kept.append(rows(1))
    (path,) = folder.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    kept.release()


@pytest.mark.django_db
def test_a_file_that_somebody_writes_or_reads_is_left_alone(folder, rows):
    kept = spool.Spool()
    kept.append(rows(1))
    assert spool.replay() == 0
    kept.release()
    (path,) = folder.iterdir()
    with path.open("rb") as other_reader:
        fcntl.flock(other_reader, fcntl.LOCK_EX)
        assert spool.replay() == 0
    assert spool.replay() == 1


@pytest.mark.django_db
def test_what_was_spooled_never_overwrites_what_came_later(folder, monkeypatch):
    monkeypatch.setattr(writer.Writer, "_start", lambda _self: None)
    recorder = Recorder()
    handle = recorder.begin()
    kept = spool.Spool()
    kept.append([handle.fields])
    kept.release()
    handle.end(RequestStatus.COMPLETED)
    recorder.flush()
    spool.replay()
    assert RequestRecord.objects.get().status == RequestStatus.COMPLETED


@pytest.mark.django_db
def test_a_line_cut_by_a_kill_costs_that_line_only(folder, rows, caplog):
    kept = spool.Spool()
    kept.append(rows(3))
    kept.release()
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:-40])
    assert spool.replay() == 2
    assert "unreadable line" in caplog.text


@pytest.mark.django_db
def test_rows_of_another_version_are_read_as_far_as_we_know_them(folder, rows):
    kept = spool.Spool()
    kept.append(rows(1))
    kept.release()
    (path,) = folder.iterdir()
    row = json.loads(path.read_bytes())
    path.write_text(json.dumps({**row, "of_tomorrow": 1}) + "\n")
    assert spool.replay() == 1


@pytest.mark.django_db
def test_a_replay_that_fails_leaves_the_file_to_the_next(folder, rows, monkeypatch):
    def away(_rows):
        raise OperationalError("database is locked")

    kept = spool.Spool()
    kept.append(rows(2))
    kept.release()
    with monkeypatch.context() as patched:
        patched.setattr(batches, "write_storable", away)
        with pytest.raises(OperationalError):
            spool.replay()
    assert spool.replay() == 2


@pytest.mark.django_db
def test_a_full_spool_refuses_and_keeps_whole_lines(folder, rows, monkeypatch):
    kept = spool.Spool()
    kept.append(rows(1))
    (path,) = folder.iterdir()
    monkeypatch.setattr(spool, "MOST_BYTES", path.stat().st_size + 10)
    with pytest.raises(OSError, match="full"):
        kept.append(rows(1))
    kept.release()
    assert spool.replay() == 1


@pytest.mark.django_db
def test_the_watchdog_reads_what_a_dead_process_left_before_it_judges(folder, rows):
    kept = spool.Spool()
    kept.append(rows(1))
    kept.release()
    lost.mark_lost_requests()
    assert RequestRecord.objects.get().status == RequestStatus.COMPLETED


def test_while_the_database_is_away_rows_are_spooled_and_come_back(fault, folder):
    fault.is_away = True
    for _ in range(5):
        ended(fault.recorder)
    wait_until(lambda: lines_in(folder) >= 5)
    assert fault.recorder.waiting == 0
    assert RequestRecord.objects.count() == 0
    fault.is_away = False
    wait_until(lambda: RequestRecord.objects.finished().count() == 5)
    wait_until(lambda: list(folder.iterdir()) == [])


def test_a_write_that_hangs_counts_as_away(fault, folder):
    """A stopped PostgreSQL neither answers nor refuses."""
    fault.pause.clear()
    ended(fault.recorder)
    wait_until(lambda: lines_in(folder) == 1)
    ended(fault.recorder)
    wait_until(lambda: lines_in(folder) == 2)
    fault.pause.set()
    wait_until(lambda: RequestRecord.objects.finished().count() == 2)


def test_the_end_of_a_process_does_not_wait_for_a_database_that_is_away(fault, folder):
    fault.pause.clear()
    ended(fault.recorder)
    began = time.monotonic()
    fault.recorder.flush_at_exit()
    assert time.monotonic() - began < writer.EXIT_SECONDS + 0.5
    assert fault.recorder.waiting == 0
    assert lines_in(folder) == 1


def test_without_a_place_on_disk_rows_wait_in_memory(fault, folder, caplog):
    folder.write_text("no folder")
    fault.is_away = True
    ended(fault.recorder)
    wait_until(lambda: "not spooled" in caplog.text)
    assert fault.recorder.waiting == 1
    fault.is_away = False
    wait_until(lambda: RequestRecord.objects.finished().count() == 1)
