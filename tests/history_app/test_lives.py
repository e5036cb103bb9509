"""Requests of processes that ended: LOST at once, those of the living stay."""

import subprocess
import sys

import pytest
from django.conf import settings
from django.db import DatabaseError, connection

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from history_app.recorder import Recorder
from history_app.services import lives, lost
from runtime_app.governance import keys
from tests.factories.history import RequestRecordFactory
from tests.fakes.waiting import wait_until
from tests.serving import DaphneProcess, Gateway, UvicornProcess, add_server
from venom_site.lib.access import SYSTEM, Scope

CHAT = "/v1/chat/completions"
STREAM = {"messages": [{"role": "user", "content": "Hello"}], "stream": True}
ENDED = "The process that served this request has ended."
# A process of the same machine that says it lives until it is killed.
LIVE = """
import sys, time
from pathlib import Path
from history_app.services import locked_files
file = locked_files.create(Path(sys.argv[1]))
print("lives", flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    return tmp_path / "lives"


@pytest.fixture
def living(folder):
    """living(7) → a process with that number; kill() it."""
    started = []

    def start(number: int) -> subprocess.Popen:
        child = subprocess.Popen(
            [sys.executable, "-c", LIVE, str(folder / str(number))],
            stdout=subprocess.PIPE,
        )
        started.append(child)
        assert child.stdout.readline() == b"lives\n"
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


@pytest.mark.django_db
def test_only_what_an_ended_process_left_open_is_lost(living):
    for number in (1, 2):
        RequestRecordFactory(running=True, process=number)
    done = RequestRecordFactory(process=1)
    killed = living(1)
    living(2)
    assert lost.mark_lost_requests() == 0
    killed.kill()
    killed.wait()
    assert lost.mark_lost_requests() == 1
    assert lost.mark_lost_requests() == 0
    row = RequestRecord.objects.get(status=RequestStatus.LOST)
    assert (row.process, row.error_message) == (1, ENDED)
    assert (row.error_code, row.error_retryable) == ("request_lost", True)
    done.refresh_from_db()
    assert done.status == RequestStatus.COMPLETED
    assert RequestRecord.objects.running().get().process == 2


@pytest.mark.django_db
def test_a_process_never_gives_itself_up(folder):
    lives.hold()
    lives.hold()
    RequestRecordFactory(running=True, process=lives.PROCESS)
    assert (folder / str(lives.PROCESS)).exists()
    assert lost.mark_lost_requests() == 0


@pytest.mark.django_db
def test_rows_say_which_process_serves_them(folder):
    recorder = Recorder()
    recorder.begin()
    recorder.flush()
    assert RequestRecord.objects.get().process == lives.PROCESS


def test_a_database_that_is_away_leaves_the_dead_to_the_next_who_looks(folder):
    folder.mkdir()
    (folder / "1").touch()

    def away(_number: int) -> int:
        raise DatabaseError

    with pytest.raises(DatabaseError):
        lives.bury(away)
    assert lives.bury(lambda number: number) == 1
    assert lives.bury(lambda number: number) == 0


def test_files_that_are_no_process_stay(folder):
    folder.mkdir()
    for name in (".7.new", "notes.txt"):
        (folder / name).touch()
    assert lives.bury(lambda _number: 1) == 0
    assert len(list(folder.iterdir())) == 2


def test_a_folder_that_takes_no_file_stops_nobody(folder, caplog):
    folder.touch()
    lives.hold()
    assert "process not noted" in caplog.text


@pytest.mark.django_db(transaction=True)
@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("server_class", [UvicornProcess, DaphneProcess])
def test_a_killed_gateways_requests_are_lost_when_it_starts_again(
    server_class, practice_ollama
):
    """They looked as if they ran for five minutes more."""
    add_server("ollama", practice_ollama.url, "gemma3:4b", active="gemma3:4b")
    key = keys.create_key("bot", [Scope.INFERENCE], actor=SYSTEM)[1]
    connection.close()
    rows = RequestRecord.objects
    with server_class() as server:
        practice_ollama.state.faults.plan(CHAT, "stall_mid_stream:3")
        with Gateway(server, key).raw(CHAT, STREAM):
            wait_until(lambda: rows.running().count() == 1)
            server.kill()
    assert rows.get().status == RequestStatus.PROCESSING
    with server:
        gateway = Gateway(server, key)
        gateway.http().get("/v1/models").raise_for_status()
        wait_until(lambda: rows.get().status == RequestStatus.LOST, seconds=20)
        gateway.close()
    assert rows.get().error_message == ENDED
