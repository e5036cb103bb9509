"""A unit's messages, as `journalctl` tells them; secrets masked.

Read as JSON: one object a line, with a cursor after which the next reading goes on, the
run it belongs to, and messages that are no UTF-8 (colours) as a list of bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from venom_site.clients.server_logs import readable
from venom_site.clients.systemd import run, unit_name
from venom_site.lib.errors import WireError
from venom_site.lib.logging import without_secrets

READ_SECONDS = 10.0
MOST_LINES = 5000
MANAGER = "systemd"  # who speaks of the unit, besides the unit itself

_LOST = re.compile(r"failed to seek to cursor", re.IGNORECASE)
_DENIED = re.compile(r"insufficient permissions|not seeing messages", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line: when (UTC), who wrote it, what, and the cursor to go on after."""

    at: datetime | None
    writer: str
    text: str
    cursor: str

    def __str__(self) -> str:
        when = f"{self.at:%Y-%m-%dT%H:%M:%SZ} " if self.at else ""
        return f"{when}{self.text}"


def read(
    unit: str, scope: str, *, lines: int, after: str = "", invocation: str = ""
) -> list[Entry]:
    """The last `lines` entries, oldest first; only those after the cursor `after`, or
    of one run. A cursor that no journal knows is as none.

    `WireError` when the journal cannot be read, with the next step.
    """
    words = [f"--lines={max(1, min(lines, MOST_LINES))}", "--all", "--output=json"]
    if after:
        words.append(f"--after-cursor={after}")
    words += _of_run(invocation) if invocation else [_of_unit(unit, scope)]
    answer = run("journalctl", *words, seconds=READ_SECONDS)
    if after and _LOST.search(answer.stderr):
        return read(unit, scope, lines=lines, invocation=invocation)
    entries = list(_entries(answer.stdout))
    if not entries and (answer.returncode != 0 or _DENIED.search(answer.stderr)):
        raise _unreadable(unit, answer.stderr)
    return entries


def _of_unit(unit: str, scope: str) -> str:
    """Not `--user --unit`: that leaves out journals of users below uid 1000."""
    return f"--{'user-' if scope == 'user' else ''}unit={unit_name(unit)}"


def _of_run(invocation: str) -> list[str]:
    """What its processes wrote, and what the manager wrote of them."""
    fields = ("_SYSTEMD_INVOCATION_ID", "INVOCATION_ID", "USER_INVOCATION_ID")
    either = [word for field in fields for word in ("+", f"{field}={invocation}")]
    return either[1:]


def _unreadable(unit: str, complaint: str) -> WireError:
    if _DENIED.search(complaint):
        return WireError(
            f"This user may not read the journal of {unit}. Run: sudo usermod "
            "--append --groups systemd-journal USER, then start Venom again.",
            permanent=True,
            reason_code="AUTH_ERROR",
        )
    said = without_secrets(" ".join(complaint.split()))[:300]
    return WireError(f"The journal of {unit} cannot be read: {said or 'no reason'}.")


def _entries(told: str) -> Iterator[Entry]:
    for line in told.splitlines():
        with suppress(ValueError):  # "-- No entries --" is no entry
            said = json.loads(line)
            if isinstance(said, dict):
                yield from _lines_of(said)


def _lines_of(said: dict[str, Any]) -> Iterator[Entry]:
    """One message may have several lines: a traceback is one with some writers."""
    for raw in _bytes(said.get("MESSAGE")).splitlines() or [b""]:
        yield Entry(
            at=_moment(said.get("__REALTIME_TIMESTAMP")),
            writer=_text(said.get("SYSLOG_IDENTIFIER")),
            text=readable(raw),
            cursor=_text(said.get("__CURSOR")),
        )


def _bytes(value: object) -> bytes:
    if isinstance(value, list):  # bytes, or the same field given several times
        with suppress(ValueError, TypeError):
            return bytes(value)
        return _bytes(value[-1]) if value else b""
    return value.encode("utf-8", "replace") if isinstance(value, str) else b""


def _text(value: object) -> str:
    return _bytes(value).decode("utf-8", "replace")


def _moment(microseconds: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(str(microseconds)) / 1e6, UTC)
    except (ValueError, OverflowError, OSError):
        return None
