"""One unit, as `systemctl show` tells it. No settings, no calls."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

PROPERTIES = (
    *("LoadState", "ActiveState", "SubState", "Result", "MainPID", "NRestarts"),
    *("ExecMainCode", "ExecMainStatus", "ExecMainStartTimestamp"),
    *("FragmentPath", "ControlGroup", "InvocationID", "ExecStart", "NeedDaemonReload"),
    "TimeoutStopUSec",
)

_SPAN = re.compile(r"(\d+)(us|ms|s|min|h)\b")
_SPAN_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_EXITED, _KILLED, _DUMPED = "1", "2", "3"  # ExecMainCode, as CLD_… of waitid(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSeen:
    """What systemd says of one unit; the words are its own.

    `exit_code` is that of the last main process, negative for a signal. `started_at`
    is when the main process of now began. `invocation` names the last run in the
    journal. `argv` is the whole `ExecStart` as systemd prints it.
    """

    load_state: str = "not-found"
    active_state: str = "inactive"
    sub_state: str = "dead"
    result: str = "success"
    main_pid: int | None = None
    restarts: int = 0
    exit_code: int | None = None
    started_at: datetime | None = None
    path: str = ""
    control_group: str = ""
    invocation: str = ""
    argv: str = ""
    is_stale: bool = False  # the file has changed since systemd read it
    stop_seconds: float = 90.0  # until systemd itself sends SIGKILL

    @property
    def exists(self) -> bool:
        """A masked unit does not: somebody wants it not to be used."""
        return self.load_state in {"loaded", "bad-setting", "error"}

    @property
    def has_ended(self) -> bool:
        return self.active_state in {"inactive", "failed"}

    @property
    def waits_to_restart(self) -> bool:
        """Its process died and systemd starts the next one after RestartSec."""
        return self.sub_state.startswith("auto-restart")


def seen_in(shown: str) -> UnitSeen:
    """From the lines of the answer; an older systemd leaves some of them out."""
    told = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    return UnitSeen(
        load_state=told.get("LoadState", "not-found"),
        active_state=told.get("ActiveState", "inactive"),
        sub_state=told.get("SubState", "dead"),
        result=told.get("Result", "success"),
        main_pid=_number(told.get("MainPID", "")) or None,
        restarts=_number(told.get("NRestarts", "")) or 0,
        exit_code=_exit_code(told),
        started_at=_moment(told.get("ExecMainStartTimestamp", "")),
        path=told.get("FragmentPath", ""),
        control_group=told.get("ControlGroup", ""),
        invocation=told.get("InvocationID", ""),
        argv=told.get("ExecStart", ""),
        is_stale=told.get("NeedDaemonReload") == "yes",
        stop_seconds=_span(told.get("TimeoutStopUSec", "")),
    )


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _exit_code(told: dict[str, str]) -> int | None:
    status = _number(told.get("ExecMainStatus", ""))
    if status is None or told.get("ExecMainCode") not in {_EXITED, _KILLED, _DUMPED}:
        return None
    return status if told["ExecMainCode"] == _EXITED else -status


def _moment(text: str) -> datetime | None:
    """`Sat 2026-11-21 10:00:00 UTC`: we ask in UTC, and it is told to the second."""
    try:
        words = text.removesuffix(" UTC").partition(" ")[2]
        return datetime.strptime(f"{words}+0000", "%Y-%m-%d %H:%M:%S%z")
    except ValueError:
        return None


def _span(text: str) -> float:
    """Seconds of `1min 30s`; systemd's own default where it says nothing usable."""
    parts = _SPAN.findall(text)
    return sum(int(count) * _SPAN_UNITS[unit] for count, unit in parts) or 90.0
