"""The command that makes a model's files into ones that vLLM loads.

Its words come from `VLLM_PREPARE_COMMAND`, split once and never given to a shell. It
runs in a session of its own, with nothing of our environment but what programs need,
under `conversion_child.py`: what is left of it ends with us, however we end.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from venom_site.lib.errors import WireError
from venom_site.lib.http_patient import CHECK_EVERY_SECONDS
from venom_site.lib.logging import without_secrets

CHILD = Path(__file__).with_name("conversion_child.py")
LONGEST_LINE = 500  # characters of a line that are kept
MOST_LINES = 400  # that are told; the last ones are kept besides
LAST_LINES = 40
KILL_SECONDS = 5.0  # for the kernel to end what got SIGKILL
PASSED_ON = frozenset(
    {"PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "TZ", "HF_HOME"}
    | {"LD_LIBRARY_PATH", "VIRTUAL_ENV", "OMP_NUM_THREADS"}
)
PASSED_ON_BY_HEAD = ("CUDA_", "NVIDIA_")

_PLACE = re.compile(r"\{(source|target|dtype|quantization)\}")
# A bar drawn anew ends in a mark that moves the cursor, not in a line's end.
_BREAK = re.compile(rb"[\r\n]|\x1b\[[0-9;?]*[ -/]*[@-~]")
_CAUSE = re.compile(
    r"error|exception|fail|fatal|cannot|could not|no such|not found|denied|killed|"
    r"invalid|unsupported|out of memory|no space",
    re.IGNORECASE,
)


class CommandMissing(WireError):
    """The setting names no program that could be started."""


class CommandFailed(WireError):
    """It ended with another code than 0; the message is its own, as far as known."""


def words_of(command: str, values: Mapping[str, str]) -> list[str]:
    """The words of the setting with each `{placeholder}` replaced inside its word.

    Raises `CommandMissing` for a setting that cannot be read or says not what goes
    where.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise _missing(command, f"it cannot be read: {error}") from error
    named = {found for word in words for found in _PLACE.findall(word)}
    if lacking := {"source", "target"} - named:
        raise _missing(command, f"it lacks {{{min(lacking)}}}")
    return [_PLACE.sub(lambda found: values[found[1]], word) for word in words]


def convert(
    words: Sequence[str],
    *,
    folder: Path,
    say: Callable[[str], None],
    check: Callable[[], None],
    grace_seconds: float,
    keep: Sequence[int] = (),
) -> None:
    """Run it in `folder` until it ends; `say` is given its lines.

    `check` is called at least five times a second; when it raises, the command and all
    that it started get SIGTERM, and SIGKILL after `grace_seconds`. `keep` are open
    files (locks) that live as long as it. Raises `CommandMissing` or `CommandFailed`.
    """
    environment = _environment()
    _refuse_missing(words, folder, environment)
    said = _Said(say)
    with _started(words, folder, environment, grace_seconds, keep) as process:
        for line in _lines(process, check):
            said.hear(line)
        code = process.returncode
    said.tell_the_rest()
    if code != 0:
        raise CommandFailed(said.cause() or f"It ended with code {code}.")


def _environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_ON or name.startswith(PASSED_ON_BY_HEAD)
    }


def _refuse_missing(
    words: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> None:
    program = words[0]
    place = folder / program if "/" in program else Path(program)
    if shutil.which(str(place), path=environment.get("PATH", os.defpath)) is None:
        raise _missing(program, "there is no such program, or it may not be run")


def _missing(command: str, reason: str) -> CommandMissing:
    shown = without_secrets(command)[:200]
    return CommandMissing(
        f"“{shown}” of VLLM_PREPARE_COMMAND does not start: {reason}.", permanent=True
    )


class _Said:
    """What it wrote: so many lines as they come, and always the last ones."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told = self._heard = 0
        self._last: deque[str] = deque(maxlen=LAST_LINES)

    def hear(self, line: str) -> None:
        self._heard += 1
        self._last.append(line)
        if self._told < MOST_LINES:
            self._told += 1
            self._say(line)

    def tell_the_rest(self) -> None:
        untold = min(self._heard - self._told, len(self._last))
        left_out = self._heard - self._told - untold
        if left_out:
            self._say(f"({left_out} lines are left out.)")
        for line in list(self._last)[len(self._last) - untold :]:
            self._say(line)

    def cause(self) -> str:
        """The last line that looks like one, else the last line."""
        for line in reversed(self._last):
            if _CAUSE.search(line):
                return line
        return self._last[-1] if self._last else ""


@contextmanager
def _started(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    grace: float,
    keep: Sequence[int],
) -> Iterator[subprocess.Popen[bytes]]:
    theirs, ours = os.pipe()
    try:
        try:
            process = subprocess.Popen(  # noqa: S603  (argv of the settings, no shell)
                [sys.executable, "-I", str(CHILD), str(theirs), str(grace), *words],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                pass_fds=(theirs, *keep),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise _missing(words[0], str(error)) from error
        finally:
            os.close(theirs)
        try:
            yield process
        finally:
            _end(process, grace)
            if process.stdout:
                process.stdout.close()
    finally:
        os.close(ours)


def _lines(
    process: subprocess.Popen[bytes], check: Callable[[], None]
) -> Iterator[str]:
    """Lines as they come, until the command has ended, not until its output is closed:
    what it left running may hold that for ever."""
    assert process.stdout is not None  # noqa: S101  (it was asked for)
    pipe, rest = process.stdout.fileno(), b""
    while True:
        check()
        if has_ended := _has_ended(process):
            _end(process, 0)  # what it left behind could write on for ever
        came = b""
        if select.select([pipe], [], [], 0 if has_ended else CHECK_EVERY_SECONDS)[0]:
            came = os.read(pipe, 65536)
            if not came and not has_ended:  # closed by itself, and it works on
                time.sleep(CHECK_EVERY_SECONDS)
        *whole, rest = _BREAK.split(rest + came)
        yield from filter(None, map(_readable, whole))
        if len(rest) > LONGEST_LINE * 8:
            yield _readable(rest)
            rest = b""
        if has_ended and not came:
            break
    yield from filter(None, [_readable(rest)])


def _readable(raw: bytes) -> str:
    text = raw.decode("utf-8", "replace").replace("\0", "").strip()
    return without_secrets(text[:LONGEST_LINE])


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Looked at, not waited for: as long as nobody waits, its number is its own and
    no other group can have it."""
    if process.returncode is not None:
        return True
    how = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, how) is not None


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    """Nothing of its session is left; harmless the second time."""
    if process.returncode is not None:
        return
    if not _has_ended(process):
        _tell(process, signal.SIGTERM)
        ends = time.monotonic() + grace
        while not _has_ended(process) and time.monotonic() < ends:
            time.sleep(0.05)
    _tell(process, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(KILL_SECONDS)
    _wait_for_the_others(process.pid)


def _wait_for_the_others(group: int) -> None:
    """SIGKILL takes a moment, and until then they may write where we clear up."""
    ends = time.monotonic() + KILL_SECONDS
    with suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < ends:
            os.killpg(group, 0)
            time.sleep(0.02)


def _tell(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
