"""What a client has seen answered is in the history, whatever ends the process."""

import json
import sqlite3
import threading
import time

import pytest

from history_app.services import writer
from tests.fakes.waiting import wait_until
from tests.history_app.serving import Served
from tests.practice import PracticeProcess

pytestmark = [pytest.mark.process, pytest.mark.slow]

MOST_LOST_SECONDS = 0.2


@pytest.fixture(scope="module")
def neighbour():
    options = ("--tokens-per-second", "0")
    with PracticeProcess("openai_compatible", *options) as neighbour:
        yield neighbour


@pytest.fixture(scope="module")
def house(tmp_path_factory, neighbour):
    return Served(tmp_path_factory.mktemp("served"), neighbour)


@pytest.fixture
def served(house):
    house.start()
    with house.running:
        yield house


def recorded(served) -> set[str]:
    """Request ids of the rows that have ended."""
    with sqlite3.connect(served.folder / "venom.sqlite3") as connection:
        query = (
            "SELECT request_id FROM history_app_requestrecord "
            "WHERE finished_at IS NOT NULL"
        )
        return {row for (row,) in connection.execute(query)}


def join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(10)


def test_kill_9_costs_at_most_a_fifth_of_a_second(served):
    clients = served.ask_until_gone()
    wait_until(lambda: len(served.answered) > 200, seconds=30)
    killed_at = time.monotonic()
    served.running.process.kill()
    served.running.process.wait()
    join(clients)
    kept = recorded(served)
    lost = [at for row, at in served.answered.items() if row not in kept]
    print(f"\nanswered {len(served.answered)}, lost {len(lost)}", end=" ")
    print(f"of the last {killed_at - min(lost, default=killed_at):.3f} s")
    assert killed_at - min(lost, default=killed_at) <= MOST_LOST_SECONDS
    assert len(kept) > 100


@pytest.fixture
def locked(served):
    """locked() takes SQLite's write lock, as a long transaction would."""
    path = served.folder / "venom.sqlite3"
    locker = sqlite3.connect(path, isolation_level=None, timeout=30)
    yield lambda: locker.execute("BEGIN IMMEDIATE")
    locker.close()


def spooled(served) -> set[str]:
    paths = (served.folder / "spool").glob("*.jsonl")
    lines = [line for path in paths for line in path.read_text().splitlines()]
    rows = [json.loads(line) for line in lines]
    return {row["request_id"] for row in rows if row["finished_at"]}


def test_kill_9_while_the_database_is_locked_costs_no_more(served, locked):
    clients = served.ask_until_gone()
    wait_until(lambda: len(served.answered) > 50, seconds=30)
    lock = locked()
    time.sleep(writer.MOMENT_SECONDS + 1.5)
    killed_at = time.monotonic()
    served.running.process.kill()
    served.running.process.wait()
    join(clients)
    lock.execute("ROLLBACK")
    answered = served.answered
    served.start()  # who comes next reads it at its first request
    with served.running:
        last = served.ask_until_gone(clients=1)
        wait_until(lambda: list((served.folder / "spool").iterdir()) == [], seconds=10)
        served.running.process.kill()
        served.running.process.wait()
        join(last)
    kept = recorded(served)
    lost = [at for row, at in answered.items() if row not in kept]
    assert killed_at - min(lost, default=killed_at) <= MOST_LOST_SECONDS


def test_sigterm_while_the_database_is_locked_loses_nothing(served, locked):
    clients = served.ask_until_gone()
    wait_until(lambda: len(served.answered) > 50, seconds=30)
    lock = locked()
    time.sleep(0.1)  # too short a time for anybody to know that it is away
    served.running.process.terminate()
    join(clients)
    answered = set(served.answered)
    wait_until(lambda: answered <= recorded(served) | spooled(served), seconds=6)
    assert spooled(served)
    served.running.process.kill()  # as a supervisor does whose patience ends
    served.running.process.wait()
    lock.execute("ROLLBACK")
    served.manage("shell", "-c", _WATCHDOG)
    assert answered <= recorded(served)
    assert list((served.folder / "spool").iterdir()) == []


def test_sigterm_loses_nothing(served):
    clients = served.ask_until_gone()
    wait_until(lambda: len(served.answered) > 50, seconds=30)
    served.running.process.terminate()
    assert served.running.process.wait(10) in {0, -15}
    join(clients)
    assert set(served.answered) <= recorded(served)


_WATCHDOG = "from history_app.services import lost; lost.mark_lost_requests()"
