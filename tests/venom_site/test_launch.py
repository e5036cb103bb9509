"""The launcher: one sentence and 127 for what it cannot become."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from venom_site import launch

pytestmark = pytest.mark.process


def run(*arguments, way=("-I", "-S", launch.__file__)):
    return subprocess.run(
        [sys.executable, *way, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "server.json"
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text)
        return path

    return write


def test_it_becomes_the_server_as_a_module_and_as_a_file(file):
    code = "import os, sys; print(os.environ['A'], sys.argv[1:])"
    launch = {"argv": [sys.executable, "-c", code, "x y"], "environment": {"A": "b"}}

    for way in (("-m", "venom_site.launch"), ("-I", "-S", "venom_site/launch.py")):
        ended = run(file(launch), way=way)
        assert (ended.returncode, ended.stdout) == (0, "b ['x y']\n"), ended.stderr


def test_the_note_names_the_process_that_it_becomes(file, tmp_path):
    note = tmp_path / "server.process"
    argv = [sys.executable, "-c", "import os; print(os.getpid())"]

    ended = run(file({"argv": argv}), note)

    assert note.read_text().split("|")[1] == ended.stdout.strip()
    assert ended.returncode == 0


def test_a_starter_that_is_deaf_to_signals_makes_no_deaf_server(file):
    words = ["import signal; print(signal.getsignal(signal.SIGTERM).name,"]
    words += ["signal.pthread_sigmask(signal.SIG_BLOCK, ()))"]
    launched = file({"argv": [sys.executable, "-c", " ".join(words)]})
    deaf = (
        "import os, signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]);"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )

    ended = run(launch.__file__, launched, way=("-c", deaf))

    assert ended.stdout == "SIG_DFL set()\n", ended.stderr


def test_a_note_that_cannot_be_written_is_no_reason_not_to_start(file, tmp_path):
    argv = [sys.executable, "-c", "print(1)"]
    assert run(file({"argv": argv}), tmp_path / "no" / "note").stdout == "1\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "cannot be read"),
        ([], "no list of words under argv"),
        ({}, "no list of words under argv"),
        ({"argv": []}, "no list of words under argv"),
        ({"argv": "rm -rf"}, "no list of words under argv"),
        ({"argv": ["a", 1]}, "no list of words under argv"),
        ({"argv": ["a"], "environment": {"A": 1}}, "under environment"),
        ({"argv": ["a"], "environment": []}, "under environment"),
        ({"argv": ["no-such-program-at-all"]}, "No such file or directory"),
        ({"argv": ["/tmp"]}, "Permission denied"),
        ({"argv": ["a\0b"]}, "embedded null"),
        ({"argv": ["a"], "environment": {"A": "\0"}}, "embedded null byte"),
    ],
)
def test_what_cannot_be_started_is_one_sentence_and_127(file, content, reason):
    ended = run(file(content))

    assert ended.returncode == 127
    assert reason in ended.stderr
    assert ended.stderr.startswith("Error: the server was not started, ")
    assert ended.stderr.count("\n") == 1


def test_a_missing_file_and_no_file_are_told(tmp_path):
    assert "No such file" in run(tmp_path / "none.json").stderr
    assert run().returncode == 127
