"""`manage.py runtimes status NAME`: what init scripts and people ask first.

The process itself is looked at, on its own machine; a server that Venom only asks is
asked. The exit code is that of the LSB: 0 runs, 1 crashed, 3 does not run, 4 unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runtime_app.choices import ManagedBy, RuntimeStatus
from runtime_app.models import Runtime
from runtime_app.monitoring import health
from runtime_app.runtimes.control import ProcessSeen
from runtime_app.runtimes.controls import control_for
from venom_site.lib.units import iso, memory_text

RUNS, CRASHED, STOPPED, UNKNOWN = 0, 1, 3, 4
_CODES = {
    "running": RUNS,
    "starting": RUNS,
    "stopping": RUNS,
    "crashed": CRASHED,
    "stopped": STOPPED,
}
_ASKED = {
    RuntimeStatus.ONLINE: RUNS,
    RuntimeStatus.DEGRADED: RUNS,
    RuntimeStatus.OFFLINE: STOPPED,
}


@dataclass(frozen=True, slots=True)
class Status:
    """What a script reads, what a person reads, and the exit code."""

    facts: dict[str, Any]
    line: str
    exit_code: int


def status_of(runtime: Runtime) -> Status:
    """Of one server; never raises for a server that is not there."""
    control = control_for(runtime)
    seen = control.look()
    is_held = seen.holder is not None and seen.state in {"stopped", "crashed"}
    if control.managed_by == ManagedBy.EXTERNAL or is_held:
        return _asked(runtime, seen)
    cause = control.cause() if seen.state == "crashed" else ""
    words = [f"{runtime.name} is {seen.state}", f"({_by(control.managed_by, seen)})."]
    facts = _facts(runtime, control.managed_by, seen) | {"cause": cause}
    code = _CODES.get(seen.state, UNKNOWN)
    return Status(facts, " ".join([*words, cause]).strip(), code)


def _asked(runtime: Runtime, seen: ProcessSeen) -> Status:
    """Somebody else's: what it answers is all that is known."""
    row = health.check_runtime(runtime)
    facts = _facts(row, ManagedBy.EXTERNAL, seen) | {"state": row.status}
    held = ""
    if seen.holder:
        pid, user = seen.holder.pid or "?", seen.holder.user or "?"
        held = f"; process {pid} of {user} holds its port"
    line = f"{row.name} is {row.status} (not started by Venom{held})."
    said = row.error_message if row.status != RuntimeStatus.ONLINE else ""
    code = _ASKED.get(RuntimeStatus(row.status), UNKNOWN)
    return Status(facts | {"cause": said}, f"{line} {said}".strip(), code)


def _by(managed_by: ManagedBy, seen: ProcessSeen) -> str:
    facts = [managed_by.value]
    if seen.pid:
        facts.append(f"pid {seen.pid}")
    if seen.started_at:
        facts.append(f"since {iso(seen.started_at)}")
    if seen.memory_bytes:
        facts.append(memory_text(seen.memory_bytes))
    if seen.restarts:
        facts.append(f"{seen.restarts} restarts")
    return ", ".join(facts)


def _facts(
    runtime: Runtime, managed_by: ManagedBy, seen: ProcessSeen
) -> dict[str, Any]:
    return {
        "name": runtime.name,
        "state": seen.state,
        "managed_by": managed_by.value,
        "pid": seen.pid,
        "started_at": iso(seen.started_at),
        "memory_bytes": seen.memory_bytes,
        "restarts": seen.restarts,
        "exit_code": seen.exit_code,
    }
