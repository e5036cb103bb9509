"""The cause of an end is the engine's first line that tells one, not the last."""

from __future__ import annotations

import pytest

from tests.fakes import vllm_tricks
from venom_site.clients.server_log_causes import first_error

HEAD = "(EngineCore pid=7) ERROR 11-21 10:00:00 [core.py:900]"
API = "(APIServer pid=5)"
LAST = f"""{API} Traceback (most recent call last):
{API} RuntimeError: Engine core initialization failed. See root cause above. \
Failed core proc(s): {{}}
"""
READY = "INFO:     Application startup complete.\n"
NOISE = f"{API} ERROR Traceback\n{API} json.decoder.JSONDecodeError: Expecting value\n"


@pytest.fixture
def cause(tmp_path):
    def read(text):
        path = tmp_path / "vllm.log"
        path.write_text(text) if isinstance(text, str) else path.write_bytes(text)
        return first_error(path)

    return read


@pytest.mark.parametrize("said", vllm_tricks.CAUSES.values())
def test_the_first_exception_of_the_engine_is_the_cause(cause, said):
    block = "".join(
        f"{HEAD} {line}\n"
        for line in (
            "EngineCore failed to start.",
            "Traceback (most recent call last):",
            '  File "core.py", line 891, in run_engine_core',
            "    raise ValueError: not at the edge",
            said,
            "",
            "The above exception was the direct cause of the following exception:",
            "RuntimeError: Worker failed with error",
        )
    )
    assert cause(f"{API} INFO starting\n{NOISE}{block}{LAST}") == said


def test_a_worker_speaks_before_the_engine(cause):
    text = (
        "(Worker_TP0 pid=9) ERROR 11-21 10:00:00 [proc.py:1] OSError: no such file\n"
        f"{HEAD} RuntimeError: Worker failed\n{LAST}"
    )
    assert cause(text) == "OSError: no such file"


def test_without_an_exception_the_first_line_of_the_engine_has_to_do(cause):
    assert cause(f"{HEAD} EngineCore failed to start.\n{LAST}").startswith("EngineCore")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "usage: vllm [-h]\nvllm: error: unrecognized arguments: --frob\n",
            "vllm: error: unrecognized arguments: --frob",
        ),
        (
            "OSError: [Errno 98] Address already in use\n",
            "OSError: [Errno 98] Address already in use",
        ),
        (
            "Error: listen tcp 127.0.0.1:11434: bind: address already in use\n",
            "Error: listen tcp 127.0.0.1:11434: bind: address already in use",
        ),
        (
            "pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
            f"  Value error, {vllm_tricks.context_too_long(9000, 4096)}\n",
            vllm_tricks.context_too_long(9000, 4096),
        ),
        (
            f"{API} {vllm_tricks.missing_folder('/models/x')}\n",
            vllm_tricks.missing_folder("/models/x"),
        ),
        (
            "Error: the server was not started, vllm does not start: No such file.\n",
            "Error: the server was not started, vllm does not start: No such file.",
        ),
        ("DeprecationWarning: old\nValueError: new\n", "ValueError: new"),
        ("Error: token=abcdefgh is wrong\n", "Error: token=… is wrong"),
        (b"\xff\xff\nKeyError: 'x'\n", "KeyError: 'x'"),
        ("INFO all is well\n", ""),
        ("", ""),
    ],
)
def test_each_way_of_saying_why_it_does_not_start(cause, text, said):
    assert cause(text) == said


def test_what_was_wrong_before_it_served_did_not_end_it(cause):
    text = f"{HEAD} ValueError: before\n{READY}{NOISE}{HEAD} RuntimeError: at last\n"
    assert cause(text) == "RuntimeError: at last"
    assert cause(f"{HEAD} ValueError: before\n{READY}") == ""
    assert cause(f"{READY}{NOISE}") == ""
    died = "ERROR 11-21 10:00:00 [client.py:1] Engine core proc died unexpectedly"
    assert cause(f"{READY}{NOISE}{API} {died}\n").endswith("proc died unexpectedly")


def test_a_log_of_any_length_is_read_at_its_two_ends(cause, tmp_path):
    middle = "INFO 127.0.0.1 GET /health\n" * 300_000
    assert cause(f"{READY}{middle}{HEAD} RuntimeError: late\n") == "RuntimeError: late"
    assert len(cause(f"ValueError: {'x' * 5000}\n")) <= 400
    assert first_error(tmp_path / "none.log") == ""
