"""The watch over the parent: it ends only who was asked to watch."""

import os
import subprocess
import sys

import pytest

from tests.embedded.stand_in import ROOT
from venom_site.embedded import parent_watch

WATCHER = """
import os, sys, time
from venom_site.embedded import parent_watch
watching = parent_watch.watch(grace_seconds=0.3)
print(watching, "VENOM_PARENT_PIPE" in os.environ, flush=True)
exec(sys.argv[1])
"""


def run_watcher(program, *, pipe=True, close=True):
    """Runs the program, then lets the pipe end; what `watch` said and the end."""
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHER, program],
        cwd=ROOT,
        env={**os.environ, "VENOM_PARENT_PIPE": str(read_end) if pipe else ""},
        pass_fds=(read_end,),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    os.close(read_end)
    try:
        with process.stdout as output:
            said = output.readline()
            if close:
                output.readline()  # the program is under way
                os.close(write_end)
            return said, process.wait(10)
    finally:
        if not close:
            os.close(write_end)


def test_the_end_of_the_pipe_asks_the_process_to_end():
    said, code = run_watcher("print('ready', flush=True); time.sleep(60)")
    assert (said, code) == ("True False\n", -15)


def test_who_does_not_listen_is_killed_after_the_grace():
    ignore = "import signal; signal.signal(15, signal.SIG_IGN)"
    _, code = run_watcher(f"{ignore}; print('ready', flush=True); time.sleep(60)")
    assert code == -9


def test_while_the_pipe_is_open_nothing_happens():
    said, code = run_watcher("time.sleep(0.5)", close=False)
    assert (said, code) == ("True False\n", 0)


def test_without_a_pipe_nobody_is_watched():
    said, code = run_watcher("time.sleep(0.5)", pipe=False)
    assert (said, code) == ("False False\n", 0)


@pytest.mark.parametrize("number", ["99", "0x1", "-1", "two"])
def test_a_number_that_is_no_pipe_is_ignored(monkeypatch, number):
    monkeypatch.setenv("VENOM_PARENT_PIPE", number)
    assert parent_watch.watch() is False


def test_a_file_that_took_the_pipes_number_is_ignored(monkeypatch, tmp_path):
    with (tmp_path / "file").open("w") as file:
        monkeypatch.setenv("VENOM_PARENT_PIPE", str(file.fileno()))
        assert parent_watch.watch() is False
