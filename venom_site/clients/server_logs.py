"""Logs of servers that we start: one file per run, rotated daily, read from their end.

The server holds its file open for appending and is never told anything: what has grown
is copied beside it and the file is emptied in place, so it goes on writing at the
start. Whatever cannot be written here is a line in our own log and never an error of
the server or of a page.
"""

from __future__ import annotations

import gzip
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from venom_site.lib.logging import without_secrets

logger = logging.getLogger(__name__)

BLOCK_BYTES = 64 * 1024
MOST_TAIL_BYTES = 4 * 1024 * 1024
LONGEST_LINE = 2000  # characters of a line that are shown
FOLLOW_EVERY_SECONDS = 0.5
PROBE_BYTES = 4096  # a page: less may still fit where nothing else does

_RUN = re.compile(
    r"(?P<server>.+)-(?P<at>\d{8}T\d{6}Z)(?:-(?P<number>\d+))?\.log(?:\.gz)?"
)
# Marks that colour and move; a bar drawn anew goes back by a carriage return.
_MARKS = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A log of an earlier run, or an earlier part of this one."""

    path: Path
    ended_at: datetime
    size_bytes: int
    number: int = 1  # of those that ended in the same second


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far a log was read: which file it was and the byte in it."""

    file: int = 0
    offset: int = 0


def log_path(folder: Path, server: str) -> Path:
    """`<folder>/<server>.log`; the name must be one of a server, never a path."""
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", server):
        raise ValueError("this is no name of a server")
    return folder / f"{server}.log"


def begin_run(path: Path) -> None:
    """Put the log of the run before aside, as `<server>-<UTC stamp>.log`. Never raises:
    the new run then goes on in the old file."""
    try:
        if path.exists() and path.stat().st_size:
            path.rename(_aside(path, ".log"))
    except OSError as error:
        _warn("not put aside", path, error)


def open_log(path: Path) -> int:
    """A descriptor that appends; the one of `/dev/null` where the file cannot be had:
    a server must not fail because its log does."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        return os.open(path, flags, 0o600)
    except OSError as error:
        _warn("not opened, the server runs without", path, error)
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def is_there(path: Path) -> bool:
    """False also where nobody may look."""
    with suppress(OSError):
        return path.exists()
    return False


def why_unheard(path: Path) -> str:
    """Why a server could not write what it had to say, with the remedy; empty where a
    block more fits beside its log."""
    probe = path.with_name(f".{path.name}.{os.getpid()}.probe")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            probe.write_bytes(bytes(PROBE_BYTES))
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        return (
            f"Its log {path} takes no line: {error.strerror or error}. Make room or "
            "give this user the folder, then start again."
        )
    return ""


def rotate(path: Path) -> Path | None:
    """Copy what is there to `<server>-<UTC stamp>.log.gz` and empty the file in place;
    the copy, or None when there was nothing or no room for it.

    What the server writes between the last read and the emptying is lost: a few lines
    at worst. A copy that breaks off is deleted and the log stays as it is.
    """
    try:
        if not path.exists() or not path.stat().st_size:
            return None
        copy = _aside(path, ".log.gz")
        _pack(path, copy)
        os.truncate(path, 0)
    except OSError as error:
        _warn("not rotated", path, error)
        return None
    return copy


def _pack(path: Path, copy: Path) -> None:
    try:
        _write_packed(path, copy)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise


def _write_packed(path: Path, copy: Path) -> None:
    descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with (
        os.fdopen(descriptor, "wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", filename="", compresslevel=1) as packed,
        path.open("rb") as source,
    ):
        shutil.copyfileobj(source, packed, BLOCK_BYTES)


def forget_old(folder: Path, *, days: int) -> int:
    """Delete what was put aside longer ago; how many files went. The present logs and
    files of other names are never touched."""
    before = datetime.now(UTC) - timedelta(days=days)
    return sum(_forget(path, before) for path in _listed(folder))


def _forget(path: Path, before: datetime) -> bool:
    at = _ended_at(path)
    if at is None or at >= before:
        return False
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _warn("not deleted", path, error)
        return False
    return True


def _listed(folder: Path) -> list[Path]:
    with suppress(OSError):
        return list(folder.iterdir())
    return []


def earlier_runs(path: Path) -> list[Run]:
    """What was put aside of this log, the youngest first."""
    runs = filter(None, (_run(other, path.stem) for other in _listed(path.parent)))
    return sorted(runs, key=lambda run: (run.ended_at, run.number), reverse=True)


def _run(path: Path, server: str) -> Run | None:
    match, at = _RUN.fullmatch(path.name), _ended_at(path)
    if match is None or at is None or match["server"] != server:
        return None
    number = int(match["number"] or 1)
    with suppress(OSError):
        size = path.stat().st_size
        return Run(path=path, ended_at=at, size_bytes=size, number=number)
    return None


def tail(path: Path, lines: int) -> list[str]:
    """The last lines, secrets masked, of whatever bytes the file has; packed ones are
    read too. Reads its end only; a file that is not there has none."""
    if lines <= 0:
        return []
    try:
        raw = _packed_end(path) if path.suffix == ".gz" else _end(path, lines)
    except (OSError, EOFError):
        return []
    return [readable(line) for line in split(raw)[-lines:]]


def _end(path: Path, lines: int) -> bytes:
    with path.open("rb") as file:
        start = end = file.seek(0, os.SEEK_END)
        found = b""
        while start > 0 and found.count(b"\n") <= lines:
            if end - start >= MOST_TAIL_BYTES:
                break
            start = max(0, start - BLOCK_BYTES)
            file.seek(start)
            found = file.read(end - start)
    return found if start == 0 else found.partition(b"\n")[2]


def _packed_end(path: Path) -> bytes:
    """A packed file is read from its start, in pieces."""
    kept = b""
    with gzip.open(path, "rb") as file:
        while piece := file.read(BLOCK_BYTES * 16):
            kept = (kept + piece)[-MOST_TAIL_BYTES:]
    return kept


def new_lines(
    path: Path, mark: Mark | None, *, most: int = 1000
) -> tuple[list[str], Mark]:
    """The whole lines that came since `mark`, and the next mark; without a mark none,
    only where the end is now. A file that was emptied or replaced is read from its
    start. At most `most` lines: the last ones, when a server says more than that."""
    try:
        with path.open("rb") as file:
            seen = os.fstat(file.fileno())
            if mark is None:
                return [], Mark(file=seen.st_ino, offset=seen.st_size)
            same = mark.file == seen.st_ino and mark.offset <= seen.st_size
            start = mark.offset if same else 0
            start = max(start, seen.st_size - MOST_TAIL_BYTES)
            file.seek(start)
            whole, newline, _ = file.read(MOST_TAIL_BYTES).rpartition(b"\n")
    except OSError:
        return [], mark or Mark()
    after = Mark(file=seen.st_ino, offset=start + len(whole) + len(newline))
    came = split(whole + newline)[-most:]
    return [readable(line) for line in came], after


def follow(path: Path, *, seconds: float, lines: int = 0) -> Iterator[list[str]]:
    """The last `lines`, then what comes, as lists; an empty one each half second in
    which nothing came, so that whoever follows can look up. Ends after `seconds`."""
    ends = time.monotonic() + seconds
    _, mark = new_lines(path, None)
    yield tail(path, lines)
    while time.monotonic() < ends:
        time.sleep(min(FOLLOW_EVERY_SECONDS, max(0.0, ends - time.monotonic())))
        came, mark = new_lines(path, mark)
        yield came


def split(raw: bytes) -> list[bytes]:
    """Lines end with a line feed; what a carriage return draws anew is one line."""
    return raw.removesuffix(b"\n").split(b"\n") if raw else []


def readable(raw: bytes) -> str:
    """One line as people may see it: the last state of a bar, no marks, no secrets."""
    text = raw.rstrip(b"\r\n").rpartition(b"\r")[2].decode("utf-8", "replace")
    return without_secrets(_UNSEEN.sub("", _MARKS.sub("", text))[:LONGEST_LINE])


def _aside(path: Path, ending: str) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    for number in ("", *(f"-{count}" for count in range(2, 1000))):
        place = path.with_name(f"{path.stem}-{stamp}{number}{ending}")
        if not place.exists():
            return place
    raise FileExistsError(f"{path.stem}-{stamp}{ending}")


def _ended_at(path: Path) -> datetime | None:
    if match := _RUN.fullmatch(path.name):
        with suppress(ValueError):
            return datetime.strptime(match["at"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return None


def _warn(what: str, path: Path, error: OSError) -> None:
    reason = error.strerror or error
    logger.warning("server log %s file=%s %s", what, path, reason)
