"""The practice `ollama` program does to the practice Ollama what the real one does."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.ollama_manifests import manifest_of
from tests.fakes.waiting import wait_until
from venom_site.clients.ollama_cli import OllamaCli

pytest_plugins = ("tests.fakes.fixtures",)
PROGRAM = Path(__file__).resolve().parents[1] / "fakes" / "ollama_cli.py"
MODEL = "qwen3:0.6b"
MARKS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
pytestmark = pytest.mark.process


def command(*arguments):
    return [sys.executable, "-S", str(PROGRAM), *arguments]


@pytest.fixture
def state(practice_ollama):
    return practice_ollama.state


@pytest.fixture
def say(practice_ollama):
    """Run the program to its end, with nothing but OLLAMA_HOST around it."""

    def say(*arguments, host=practice_ollama.url):
        ended = subprocess.run(
            command(*arguments),
            env={"OLLAMA_HOST": host},
            capture_output=True,
            timeout=20,
        )
        # Not in text mode, which would make line ends of carriage returns.
        ended.stdout, ended.stderr = ended.stdout.decode(), ended.stderr.decode()
        return ended

    return say


def test_a_pull_installs_and_draws_its_bars_on_stderr(say, state):
    ended = say("pull", MODEL)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert MODEL in state.model_names()
    part = manifest_of(state.find(MODEL)).blobs[0].digest[7:19]
    drawn = map(str.strip, MARKS.split(ended.stderr))
    lines = [line for line in drawn if line]
    bars = [line for line in lines if line.startswith(f"pulling {part}")]
    assert re.fullmatch(rf"pulling {part}:   0% ▕ +▏ 0 B/523 MB", bars[0])
    assert re.fullmatch(rf"pulling {part}: 100% ▕█+▏ 523 MB", bars[-1])
    assert lines[-1] == "success"


def test_the_older_look_goes_back_by_carriage_returns_and_writes_dots(say):
    ended = say("--look", "dots", "pull", MODEL)
    drawn = ended.stderr.split("\r")
    assert any(re.match(r"pulling [0-9a-f]{12}\.\.\. +0% ▕", line) for line in drawn)


def test_failures_are_one_sentence_and_a_one(say, state):
    ended = say("pull", "nobody:1b")
    assert ended.returncode == 1
    sentence = "Error: pull model manifest: file does not exist"
    assert ended.stderr.splitlines()[-1] == sentence
    ended = say("rm", "nobody:1b")
    assert ended.returncode == 1
    assert ended.stderr == "Error: model 'nobody:1b' not found\n"
    assert say("pull", "../etc").stderr.endswith("Error: invalid model name\n")
    assert say("dance").returncode == 2


def test_a_server_that_is_away_is_told(say, practice_ollama):
    practice_ollama.stop()
    ended = say("list")
    assert ended.returncode == 1
    assert ended.stderr == (
        "Error: could not connect to ollama server, run 'ollama serve' to start it\n"
    )


def test_rm_and_list_work_on_the_same_server(say, state):
    assert say("rm", "phi3:mini").stdout == "deleted 'phi3:mini'\n"
    assert state.model_names() == ["gemma3:4b"]
    head, row = say("list").stdout.splitlines()
    assert head.split() == ["NAME", "ID", "SIZE", "MODIFIED"]
    digest = manifest_of(state.find("gemma3:4b")).digest
    assert row.split()[:4] == ["gemma3:4b", digest[:12], "3.3", "GB"]


def test_no_fault_of_the_api_stops_it_and_nothing_is_recorded(say, state):
    state.faults.plan("*", "unsupported:405", times=0)
    assert say("pull", MODEL).returncode == 0
    assert not state.requests


def test_killing_the_program_cancels_the_pull_and_keeps_the_half(
    practice_ollama, state
):
    state.bytes_per_second = 1_000_000
    with subprocess.Popen(
        command("pull", MODEL),
        env={**os.environ, "OLLAMA_HOST": practice_ollama.url},
        stderr=subprocess.DEVNULL,
    ) as pulling:
        wait_until(state.folder.partials, seconds=20)
        [blob] = [b for b in state.folder.blobs.values() if not b.is_whole]
        pulling.send_signal(signal.SIGTERM)
    wait_until(lambda: not blob.readers)
    assert 0 < blob.completed < blob.size_bytes
    assert MODEL not in state.model_names()


@pytest.mark.parametrize("look", ["bars", "dots"])
def test_the_house_reads_its_progress(practice_ollama, state, look):
    state.bytes_per_second = 800_000_000
    heard = []
    program = " ".join(command("--look", look))
    client = OllamaCli(program, practice_ollama.url)
    client.pull(MODEL, on_line=heard.append, check=lambda: None)
    counts = [line.completed for line in heard if line.total > 500_000_000]
    assert counts[0] == 0
    assert any(0 < count < 500_000_000 for count in counts)
    assert counts[-1] == 523_000_000
    assert heard[-1].status == "success"
    assert (MODEL, 523_000_000) in client.installed()
    assert client.remove(MODEL, check=lambda: None)
    assert not client.remove(MODEL, check=lambda: None)
