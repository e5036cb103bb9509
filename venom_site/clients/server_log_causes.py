"""Why a server ended: its first line that says so, not the last.

vLLM 0.32 ends a failed start with «Engine core initialization failed. See root cause
above»; the cause is the first ERROR of a Worker or the EngineCore, tagged with its
process, and in that block the line of the exception. The word ERROR alone says
nothing: each request with broken JSON logs a traceback at that level.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from venom_site.clients.server_logs import readable, split

MOST_BYTES = 2 * 1024 * 1024  # of the start and of the end of a log
LONGEST_CAUSE = 400

# Most of a long log is who asked for what: making all of it readable takes seconds.
_WORTH_READING = re.compile(
    rb"error|exception|interrupt|fatal|already in use|died unexpectedly|"
    rb"startup complete",
    re.IGNORECASE,
)
_TAG = re.compile(r"\((?P<who>\w+) pid=\d+\)\s?")
_ENGINE = re.compile(r"\((?:Vllm)?(?:Worker|EngineCore)\w* pid=\d+\) ERROR\b")
# «ERROR 11-21 10:00:00 [core.py:900] » before what is said.
_HEAD = re.compile(r"ERROR [\d-]+ [\d:.]+ \[[^\]]*\] ?")
_EXCEPTION = re.compile(
    r"(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Interrupt|Warning)\b(?::|$)"
    r"|torch\.OutOfMemoryError\b"
)
_SAID = re.compile(r"Value error, \S|\S+: error: \S|Error: \S|[Ff]atal(?: error)?: \S")
_DIED = re.compile(r"died unexpectedly")
_WARNING = re.compile(r"\w*Warning\b")
_PLAIN = re.compile(r"address already in use|died unexpectedly", re.IGNORECASE)
_USELESS = re.compile(
    r"Engine core initialization failed|See root cause above|EngineDeadError"
    r"|Traceback \(most recent call last\)|validation errors? for "
)
# From here on it served: what was wrong before did not end it.
_READY = re.compile(r"Application startup complete")


def first_error(path: Path) -> str:
    """The first line of the last run that tells a cause, without tags and secrets;
    empty when none does."""
    return cause_in(_lines(path))


def cause_in(lines: list[str]) -> str:
    """The same of lines that somebody else kept, such as the journal."""
    ready = [at for at, line in enumerate(lines) if _READY.search(line)]
    if ready:
        lines = [line for line in lines[ready[-1] :] if not _is_noise(line)]
    return _cause(lines)


def _is_noise(line: str) -> bool:
    """Once it serves, its API server logs every bad request as an error of its own."""
    return line.startswith("(APIServer") and not _DIED.search(line)


def _lines(path: Path) -> list[str]:
    raw = b""
    with suppress(OSError), path.open("rb") as file:
        raw = file.read(MOST_BYTES)
        end = os.fstat(file.fileno()).st_size
        if end > len(raw):
            file.seek(max(len(raw), end - MOST_BYTES))
            raw += b"\n" + file.read(MOST_BYTES)
    return [readable(line) for line in split(raw) if _WORTH_READING.search(line)]


def _cause(lines: list[str]) -> str:
    engine = [_bare(line) for line in lines if _ENGINE.match(line)]
    others = [_bare(line) for line in lines]
    found = _exception(engine) or _first(engine) or _told(others)
    return found[:LONGEST_CAUSE]


def _bare(line: str) -> str:
    """Without the tag of its process and the head of a log line; indents stay."""
    return _HEAD.sub("", _TAG.sub("", line, count=1), count=1)


def _exception(lines: Iterable[str]) -> str:
    """A traceback ends with it, at the left edge; of a chain the first is the root."""
    for line in lines:
        is_one = _EXCEPTION.match(line) and not _WARNING.match(line)
        if is_one and not _USELESS.search(line):
            return line.strip()
    return ""


def _first(lines: Iterable[str]) -> str:
    return next((line.strip() for line in lines if not _USELESS.search(line)), "")


def _told(lines: list[str]) -> str:
    """The first of all the ways in which a program says why it does not start."""
    for line in lines:
        text = line.strip()
        if _USELESS.search(text) or _WARNING.match(text):
            continue
        if _EXCEPTION.match(line) or _SAID.match(text) or _PLAIN.search(text):
            return text.removeprefix("Value error, ")
    return ""
