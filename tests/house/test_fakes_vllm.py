"""The practice vLLM as a program does what a real 0.32 was seen to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import httpx
import psutil
import pytest

from tests import servers
from tests.fakes.vllm_tricks import CAUSES, VARIABLE
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.process, pytest.mark.slow]
CHAT = {"messages": [{"role": "user", "content": "raz"}], "max_tokens": 3}
USELESS = "RuntimeError: Engine core initialization failed. See root cause above."


class Started:
    """The program in a session of its own, and what it has written."""

    def __init__(self, folder, words, tricks):
        self.log = folder / "vllm.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*servers.VLLM, *words],
                cwd=servers.ROOT,
                env={**os.environ, VARIABLE: json.dumps(tricks)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def engine(self):
        return psutil.Process(self.process.pid).children()[0]

    def lines(self):
        return self.log.read_text().splitlines()

    def wait(self):
        return self.process.wait(servers.START_SECONDS)

    def wait_to_load(self):
        wait_until(
            lambda: "Initializing an engine" in self.log.read_text(),
            seconds=servers.START_SECONDS,
        )


@pytest.fixture
def port():
    return servers.free_port()


@pytest.fixture
def vllm(tmp_path, port):
    """vllm(*words, **tricks) → the program, started; ended with the test."""
    started = []

    def start(*words, model="practice/model", **tricks):
        given = (model, "--port", str(port), *words)
        started.append(Started(tmp_path, given, tricks))
        return started[-1]

    yield start
    for each in started:
        servers.end_session(each.process.pid)
        each.process.wait(20)


@pytest.fixture
def http(port):
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, timeout=20, trust_env=False) as http:
        yield http


def test_it_serves_every_alias_with_the_folder_as_its_root(vllm, port, http, tmp_path):
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 8192}')
    vllm(
        *("--served-model-name", "a", "b", "--max-model-len", "8k", "--enforce-eager"),
        *(
            "--dtype",
            "float32",
            "--gpu-memory-utilization",
            "0.5",
            "--host",
            "127.0.0.1",
        ),
        model=str(tmp_path),
        noise=True,
    )
    servers.wait_for_health(port)

    rows = http.get("/v1/models").json()["data"]
    said = http.post("/v1/chat/completions", json=CHAT | {"model": "b"}).json()
    figures = http.get("/metrics").text

    assert [row["id"] for row in rows] == ["a", "b"]
    assert {row["root"] for row in rows} == {str(tmp_path)}
    assert {row["max_model_len"] for row in rows} == {8000}
    assert (said["model"], said["usage"]["completion_tokens"]) == ("a", 3)
    label = 'engine="0",model_name="a"'
    assert f"vllm:num_requests_running{{{label}}} 0.0" in figures
    assert f"vllm:generation_tokens_total{{{label}}} 3.0" in figures
    assert http.get("/version").json() == {"version": "0.32.0"}


def test_parent_and_engine_share_a_session_and_end_in_order(vllm, port):
    program = vllm()
    servers.wait_for_health(port)
    engine = program.engine

    assert engine.cmdline()[0] == "VLLM::EngineCore"
    assert os.getsid(engine.pid) == os.getpgid(engine.pid) == program.process.pid

    program.process.terminate()
    assert program.wait() == 0
    assert servers.session_of(program.process.pid) == []
    assert "Application shutdown complete" in program.lines()[-1]


def test_nobody_listens_while_it_loads(vllm, port):
    vllm(start_seconds=60).wait_to_load()
    assert not servers.answers(port)


def test_a_second_one_finds_the_port_taken(vllm, port):
    vllm()
    servers.wait_for_health(port)

    second = vllm()

    assert second.wait() == 1
    assert "OSError: [Errno 98] Address already in use" in second.lines()


@pytest.mark.parametrize("cause", sorted(CAUSES))
def test_the_first_error_tells_the_cause_and_the_last_line_does_not(vllm, cause):
    program = vllm(fail=cause)

    assert program.wait() == 1

    engine = [line for line in program.lines() if line.startswith("(EngineCore")]
    assert engine[-1].endswith(CAUSES[cause])
    assert any(USELESS in line for line in program.lines()[-2:])


def test_what_is_asked_for_wrongly_ends_it_with_a_cause(vllm, tmp_path):
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 512}')

    assert vllm("--frob", "1").wait() == 2
    assert vllm(model="/no/such/folder").wait() == 1
    long = vllm("--max-model-len", "513", model=str(tmp_path))
    assert long.wait() == 1
    assert vllm(failing="bad_weights").wait() == 1

    said = "\n".join(long.lines())
    assert "vllm: error: unrecognized arguments: --frob 1" in said
    assert "HFValidationError: Repo id must be in the form" in said
    assert "  Value error, User-specified max_model_len (513) is greater" in said
    assert "unknown ['failing']" in said


def test_a_dead_engine_ends_the_parent_with_0(vllm, port):
    program = vllm()
    servers.wait_for_health(port)
    program.engine.kill()
    assert program.wait() == 0


def test_a_killed_parent_leaves_its_engine_only_when_that_is_played(vllm, port):
    for stays in (False, True):
        program = vllm(leave_engine=stays)
        servers.wait_for_health(port)
        program.process.kill()
        program.wait()
        left = lambda: servers.session_of(program.process.pid)  # noqa: B023, E731
        if not stays:
            wait_until(lambda: not left(), seconds=20)  # noqa: B023
    assert len(left()) == 1
    os.kill(left()[0], signal.SIGTERM)
    wait_until(lambda: not left(), seconds=20)


@pytest.mark.parametrize("then", ["hang", "serve"])
def test_a_sigterm_while_it_starts_is_lost_and_the_second_is_not(vllm, port, then):
    program = vllm(lose_sigterm=then, start_seconds=1)
    program.wait_to_load()
    os.killpg(program.process.pid, signal.SIGTERM)
    if then == "serve":
        servers.wait_for_health(port)
    with pytest.raises(subprocess.TimeoutExpired):
        program.process.wait(1.5)
    assert servers.answers(port) is (then == "serve")

    os.killpg(program.process.pid, signal.SIGTERM)

    assert program.wait() == (0 if then == "serve" else -signal.SIGTERM)


def test_one_that_is_frozen_is_healthy_and_says_nothing(vllm, port, http):
    vllm(freeze=True, served_names=["other"], root="/elsewhere")
    servers.wait_for_health(port)

    with pytest.raises(httpx.ReadTimeout):
        http.post("/v1/chat/completions", json=CHAT, timeout=0.5)

    assert http.get("/health").status_code == 200
    [row] = http.get("/v1/models").json()["data"]
    assert (row["id"], row["root"]) == ("other", "/elsewhere")
