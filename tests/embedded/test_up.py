"""`manage.py up` and `down` as a user meets them, around a tiny application."""

import json
import os
import signal
import socket
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.embedded.stand_in import (
    Running,
    environment,
    free_port,
    kill,
    living,
    make_checkout,
    manage,
)
from tests.embedded.waiting import wait_until

UNLOADING = """
from django.core.management.base import BaseCommand

class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("verb", choices=["unload-all"])
        parser.add_argument("--now", action="store_true", required=True)
        parser.add_argument("--ours", action="store_true")

    def handle(self, *args, **options):
        self.stdout.write("Ollama: unloaded gemma3:4b.")
"""

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.fixture
def checkout(tmp_path):
    return make_checkout(tmp_path)


@contextmanager
def up(checkout, *arguments, port=None, **variables):
    """`manage.py up`; `mark` finds every process that descends from it."""
    mark = f"MARK={checkout}"
    variables |= {"MARK": str(checkout), "VENOM_PORT": str(port or free_port())}
    with Running(
        manage("up", *arguments), cwd=checkout, env=environment(**variables)
    ) as running:
        running.mark = mark
        running.url = f"http://127.0.0.1:{variables['VENOM_PORT']}"
        yield running
    wait_until(lambda: not living(mark), seconds=12)


def child(running, module: str) -> int:
    found = [
        pid
        for pid, line in living(running.mark).items()
        if "parent_watch" in line and module in line
    ]
    return found[0] if len(found) == 1 else 0


def test_up_starts_everything_and_ctrl_c_leaves_nothing(checkout):
    with up(checkout) as running:
        running.wait_for(f"Ready: {running.url}")
        noted = checkout / "data" / "noted"  # beat sent it, the worker did it
        wait_until(noted.exists, seconds=20)
        assert len(living(running.mark)) == 4
        started = time.monotonic()
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(12) == 0
        assert time.monotonic() - started < 10
        assert living(running.mark) == {}
        lines = [
            line
            for line in running.output.splitlines()
            if line.startswith(("Venom", "Sign", "Ready", "Stop"))
        ]
        assert lines == [
            "Venom is starting…",
            "Sign in: link",
            f"Ready: {running.url}",
            "Stopping…",
            "Stopped.",
        ]
    assert (checkout / "data" / "run" / "up.lock").read_text() == ""


def test_a_killed_web_process_is_started_again_and_named(checkout):
    with up(checkout) as running:
        running.wait_for("Ready")
        first = child(running, "uvicorn")
        kill(first)
        running.wait_for("web ended after")
        assert "(SIGKILL); it is started again in 1 s." in running.output
        wait_until(lambda: child(running, "uvicorn") not in (0, first), seconds=10)


def test_a_second_up_on_the_same_data_folder_names_the_first(checkout):
    with up(checkout) as running:
        running.wait_for("Ready")
        second = Running(
            manage("up"), cwd=checkout, env=environment(VENOM_PORT=str(free_port()))
        )
        assert second.process.wait(10) == 1
        assert f"as process {running.process.pid} at {running.url}" in second.output
        assert len(second.output.splitlines()) == 1


def test_a_taken_port_is_refused_before_anything_is_started(checkout):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with up(checkout, port=port) as running:
            assert running.process.wait(10) == 1
            assert f"127.0.0.1:{port} is already taken" in running.output
            assert "VENOM_PORT" in running.output
            assert "starting" not in running.output


def test_failing_preparation_stops_the_start_with_its_words(checkout):
    with up(checkout, BREAK_PREPARE="1") as running:
        assert running.process.wait(10) == 1
        assert "The database is not there." in running.output
        assert "preparing failed (exit code 1)" in running.output
        assert "Ready" not in running.output


def test_children_of_a_killed_supervisor_end_and_up_starts_again(checkout):
    port = free_port()
    with up(checkout, port=port) as running:
        running.wait_for("Ready")
        kill(running.process.pid)
        running.process.wait()
        with up(checkout, port=port) as again:  # waits for the port to be let go
            again.wait_for("Ready")
            assert len(living(running.mark)) >= 4


def test_no_orphan_is_left_when_the_supervisor_is_killed(checkout):
    with up(checkout) as running:
        running.wait_for("Ready")
        kill(running.process.pid)
        running.process.wait()
        wait_until(lambda: not living(running.mark), seconds=10)


def test_down_stops_it_and_says_so_when_there_is_nothing_to_stop(checkout):
    with up(checkout) as running:
        running.wait_for("Ready")
        down = Running(manage("down"), cwd=checkout, env=environment())
        assert down.process.wait(14) == 0
        assert down.output == "Stopped.\n"
        assert running.process.wait(2) == 0
    down = Running(manage("down"), cwd=checkout, env=environment())
    assert down.process.wait(5) == 0
    assert down.output == "Venom is not running.\n"


def test_down_unloads_models_first_and_says_what_it_did(checkout):
    commands = checkout / "venom_site" / "management" / "commands"
    (commands / "runtimes.py").write_text(UNLOADING)
    with up(checkout) as running:
        running.wait_for("Ready")
        down = Running(manage("down"), cwd=checkout, env=environment())
        assert down.process.wait(14) == 0
        assert down.output == "Ollama: unloaded gemma3:4b.\nStopped.\n"


def test_ctrl_c_ends_the_servers_that_we_started_and_asks_nobody_else(checkout):
    commands = checkout / "venom_site" / "management" / "commands"
    (commands / "runtimes.py").write_text(UNLOADING)
    with up(checkout) as running:
        running.wait_for("Ready")
        note = checkout / "data" / "runtimes" / "vllm.process"
        note.parent.mkdir(parents=True)
        note.write_text("a process of ours")
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(20) == 0
        assert "Ollama: unloaded gemma3:4b." in running.output


def test_down_harms_nobody_who_got_the_number_of_a_killed_up(checkout):
    run = checkout / "data" / "run"
    run.mkdir(parents=True)
    holder = {"pid": os.getpid(), "url": "http://x", "started_at": "then"}
    (run / "up.lock").write_text(json.dumps(holder))
    down = Running(manage("down"), cwd=checkout, env=environment())
    assert down.process.wait(5) == 0
    assert down.output == "Venom is not running.\n"


def test_the_demo_gives_its_neighbours_to_every_child(checkout):
    with up(checkout, "--demo") as running:
        running.wait_for("Ready")
        assert "Key with ['admin', 'inference']" in running.output
        mark = "OLLAMA_BASE_URL=http://x:1"
        lines = [
            line for line in living(running.mark).values() if "parent_watch" in line
        ]
        assert len(lines) == 4
        served = [line for line in living(mark).values() if "parent_watch" in line]
        assert len(served) == 3
        assert (checkout / "data" / "demo" / "run" / "up.lock").exists()


def test_hanging_up_the_terminal_stops_it(checkout):
    with up(checkout) as running:
        running.wait_for("Ready")
        running.process.send_signal(signal.SIGHUP)
        assert running.process.wait(12) == 0


@pytest.mark.parametrize("value", ["0", "65536", "http", "-1"])
def test_a_port_that_is_none_is_refused(checkout, value):
    with up(checkout, port=value) as running:
        assert running.process.wait(10) == 1
        assert f"not '{value}'" in running.output


def test_the_supervisor_never_imports_django(checkout):
    with up(checkout) as running:
        running.wait_for("Ready")
        maps = Path(f"/proc/{running.process.pid}/smaps_rollup").read_text()
        pss = next(line for line in maps.splitlines() if line.startswith("Pss:"))
        assert int(pss.split()[1]) < 25_000, "kB of the supervisor"
