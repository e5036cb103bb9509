"""The shell scripts for servers: exit codes, arguments, and no secret in a report."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from venom_site.env import BASE_DIR

SCRIPTS = Path(BASE_DIR) / "scripts" / "llm"
BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="bash is not installed")


def run(script, *words, **environment):
    return subprocess.run(
        [BASH, str(SCRIPTS / script), *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PATH": os.environ["PATH"]} | environment,
    )


@pytest.fixture
def python(tmp_path):
    """A Python that tells its arguments and ends as it is told."""
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho "$@"\nexit "${CODE:-0}"\n')
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize("script", sorted(p.name for p in SCRIPTS.glob("*.sh")))
def test_a_script_is_executable_strict_and_without_mistakes(script):
    path = SCRIPTS / script
    assert os.access(path, os.X_OK)
    assert "\nset -euo pipefail\n" in path.read_text()
    subprocess.run([BASH, "-n", str(path)], check=True, timeout=30)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck here")
def test_shellcheck_has_nothing_to_say():
    files = [str(path) for path in SCRIPTS.glob("*.sh")]
    told = subprocess.run(["shellcheck", *files], capture_output=True, timeout=120)
    assert told.stdout == b""


@pytest.mark.parametrize("server", ["ollama", "vllm"])
@pytest.mark.parametrize("action", ["start", "stop", "restart"])
def test_an_action_is_the_commands_and_waits_for_its_end(server, action, python):
    told = run(f"{server}_service.sh", action, VENOM_PYTHON=python)
    assert told.stdout == f"manage.py runtimes {action} {server} --wait\n"
    assert told.returncode == 0


@pytest.mark.parametrize("code", [0, 1, 3, 4])
def test_the_status_has_the_commands_exit_code(code, python):
    told = run("vllm_service.sh", "status", VENOM_PYTHON=python, CODE=str(code))
    assert told.stdout == "manage.py runtimes status vllm\n"
    assert told.returncode == code


@pytest.mark.parametrize("words", [[], ["begin"], ["start", "now"], ["--help"]])
def test_wrong_arguments_end_with_2_and_say_which_are_right(words, python):
    told = run("ollama_service.sh", *words, VENOM_PYTHON=python)
    assert told.returncode == 2
    assert told.stderr == "Usage: ollama_service.sh start|stop|restart|status\n"


SECRETS = (
    "hf_abcdefghijklmnop",
    "sk-abcdefghijklmnop",
    "topsecretpassword",
    "verysecrettoken",
    "bearersecretvalue",
    "keyinargument",
    "logininaddress",
)
LOG = """INFO loading token=verysecrettoken
ERROR Authorization: Bearer bearersecretvalue
password: "topsecretpassword"
GET https://user:logininaddress@example.org/ with hf_abcdefghijklmnop
"""


@pytest.fixture
def data(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "runtimes").mkdir()
    (tmp_path / "logs" / "vllm.log").write_text(LOG)
    (tmp_path / "runtimes" / "vllm.json").write_text(
        '{"argv": ["vllm", "serve"],\n "VLLM_API_KEY": "sk-abcdefghijklmnop"}'
    )
    return tmp_path


def test_a_report_has_every_part_and_no_secret(data):
    code = "import time; print('ready', flush=True); time.sleep(60)"
    argv = [sys.executable, "-c", code, "vllm serve", "--api-key", "keyinargument"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout.readline() == b"ready\n"
            (data / "runtimes" / "vllm.process").write_text(f"b/p|{server.pid}|1\n")
            told = run("debug_runtime.sh", "vllm", VENOM_DATA_DIR=str(data))
        finally:
            server.kill()
    assert told.returncode == 0, told.stderr
    for part in ("GPU", "Ports that listen", "vllm: processes", "vllm: unit", "log"):
        assert part in told.stdout
    assert "INFO loading token=***" in told.stdout
    if shutil.which("ps"):
        assert f"open files of {server.pid}" in told.stdout
    assert not [secret for secret in SECRETS if secret in told.stdout]


def test_a_report_works_where_tools_are_missing(data, tmp_path):
    folder = tmp_path / "few"
    folder.mkdir()
    for name in ("sed", "date", "uname", "tail", "cat", "readlink", "dirname", "sort"):
        (folder / name).symlink_to(shutil.which(name))
    (folder / "paste").symlink_to(shutil.which("paste"))
    told = run("debug_runtime.sh", "vllm", VENOM_DATA_DIR=str(data), PATH=str(folder))
    assert told.returncode == 0, told.stderr
    assert "(nvidia-smi is not installed)" in told.stdout
    assert "(systemctl is not installed)" in told.stdout
    assert "INFO loading" in told.stdout


@pytest.mark.parametrize("word", ["../etc", "a b", "--force", "$(id)"])
def test_a_report_refuses_what_is_no_name_of_a_server(word):
    assert run("debug_runtime.sh", word).returncode == 2
