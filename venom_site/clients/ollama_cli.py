"""Ollama by its own program, for servers that refuse a route of the HTTP API.

Used by `models_app/providers/ollama.py` only then. The program of `OLLAMA_CLI` runs
without a shell in a session of its own, and is ended by that when `check` raises; it
tells the same server, in `OLLAMA_HOST`, what HTTP would have told it.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress

from venom_site.clients.ollama_answers import LONGEST_COMPLAINT, PullLine
from venom_site.lib.errors import WireError
from venom_site.lib.http_patient import CHECK_EVERY_SECONDS, MAX_LINE_BYTES
from venom_site.lib.logging import without_secrets
from venom_site.lib.names import is_model_name

PULL_IDLE_SECONDS = 90
LIST_SECONDS = 5
REMOVE_SECONDS = 30
END_SECONDS = 2  # between asking the program to end and making it
# All that the program needs; our own secrets stay here.
PASSED_ON = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")

# A bar drawn anew ends in a mark that moves the cursor, not in a line's end.
_BREAK = re.compile(rb"[\r\n]|\x1b\[[0-9;?]*[ -/]*[@-~]")
# `pulling 6a0746a1ec1a… 45% ▕██ ▏ 900 MB/2.0 GB 11 MB/s`; older ones write three dots,
# newer ones a colon; a finished layer shows its size only.
_LAYER = re.compile(
    r"pulling ([0-9a-f]{12})\S*\s+(\d{1,3})%"
    r"(?:.*?([\d.]+) ?([KMGT]?B)(?:/([\d.]+) ?([KMGT]?B))?)?"
)
_ROW = re.compile(r"^(\S+)\s+[0-9a-f-]{1,64}\s+(?:([\d.]+) ([KMGT]?B)|-)(?:\s|$)")
_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


class OllamaCli:
    """The program named by `command`, speaking to the server at `base_url`."""

    def __init__(self, command: str, base_url: str) -> None:
        self._command = command
        self._base_url = base_url

    def pull(
        self,
        model: str,
        *,
        on_line: Callable[[PullLine], None],
        check: Callable[[], None],
    ) -> None:
        """Bring the model into the server's store; digests come as twelve digits."""
        said = self._run("pull", _argument(model), check, idle=PULL_IDLE_SECONDS)
        with closing(said):  # also when `on_line` raises
            for line in said:
                on_line(progress_in(line))

    def remove(self, model: str, *, check: Callable[[], None]) -> bool:
        """Whether there was something to remove."""
        try:
            deque(self._run("rm", _argument(model), check, idle=REMOVE_SECONDS), 0)
        except WireError as error:
            if "not found" not in str(error):
                raise
            return False
        return True

    def installed(self) -> list[tuple[str, int | None]]:
        """The names installed and their rounded sizes."""
        lines = self._run("list", "", lambda: None, idle=LIST_SECONDS)
        rows = map(_ROW.match, lines)
        return [(row[1], _bytes(row[2], row[3])) for row in rows if row]

    def _run(
        self, verb: str, model: str, check: Callable[[], None], *, idle: float
    ) -> Generator[str, None, None]:
        """The lines of the program as they come; raises when it did not end well."""
        last = ""
        with self._started([verb, *filter(None, [model])]) as process:
            for line in _lines(process, check, idle):
                last = line
                yield line
            code = _code_of(process)
        if code:
            said = without_secrets(last.removeprefix("Error: "))[:LONGEST_COMPLAINT]
            raise WireError(
                said or f"{self._command!r} ended with code {code}.", permanent=True
            )

    @contextmanager
    def _started(self, arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
        process = self._start(arguments)
        try:
            yield process
        finally:
            _end(process)
            if process.stdout:
                process.stdout.close()

    def _start(self, arguments: list[str]) -> subprocess.Popen[bytes]:
        passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        try:
            return subprocess.Popen(  # noqa: S603  (argv of the settings, no shell)
                [*_program_in(self._command), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,  # progress comes there
                env={**passed_on, "OLLAMA_HOST": self._base_url, "TERM": "dumb"},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it names no program"
            raise WireError(
                f"The server needs Ollama's own program, and {self._command!r} of "
                f"OLLAMA_CLI does not start: {reason}.",
                permanent=True,
            ) from None


def progress_in(line: str) -> PullLine:
    """What one line of `ollama pull` tells, as the HTTP API would have told it."""
    found = _LAYER.search(line)
    if found is None:
        return PullLine(status=line, digest="", total=0, completed=0)
    part, percent = found[1], min(100, int(found[2]))
    done, total = _bytes(found[3], found[4]) or 0, _bytes(found[5], found[6])
    if total is None:  # one size is the layer's whole one
        done, total = done * percent // 100, done
    return PullLine(
        status=f"pulling {part}", digest=part, total=total, completed=min(done, total)
    )


def _bytes(number: str | None, unit: str | None) -> int | None:
    try:
        return int(float(number or "") * _UNITS[unit or ""])
    except (ValueError, KeyError):
        return None


def _program_in(command: str) -> list[str]:
    """Its words; ValueError for none, as `rm` alone would be another program."""
    words = shlex.split(command)
    if not words:
        raise ValueError(command)
    return words


def _argument(model: str) -> str:
    """A name that the program cannot take for an option."""
    if model.startswith("-") or not is_model_name(model):
        raise WireError(f"{model!r} cannot be a model's name.", permanent=True)
    return model


def _lines(
    process: subprocess.Popen[bytes], check: Callable[[], None], idle: float
) -> Iterator[str]:
    """Lines as they come; each bar drawn anew is one."""
    assert process.stdout is not None  # noqa: S101  (it was asked for)
    pipe, rest, heard = process.stdout.fileno(), b"", time.monotonic()
    while True:
        check()
        if not select.select([pipe], [], [], CHECK_EVERY_SECONDS)[0]:
            if time.monotonic() - heard > idle:
                raise WireError(f"Ollama's program said nothing for {idle:.0f} s.")
            continue
        came = os.read(pipe, 65536)
        if not came:
            break
        heard = time.monotonic()
        *whole, rest = _BREAK.split(rest + came)
        yield from filter(None, map(_readable, whole))
        if len(rest) > MAX_LINE_BYTES:
            raise WireError("A line of Ollama's program is longer than 1 MiB.")
    yield from filter(None, [_readable(rest)])


def _readable(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").strip()


def _code_of(process: subprocess.Popen[bytes]) -> int:
    """With what it ended, soon after it closed its output."""
    try:
        return process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        raise WireError("Ollama's program fell silent and did not end.") from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of its session is left. Until it is waited for, its number is its own."""
    if process.returncode is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
            return
