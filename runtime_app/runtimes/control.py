"""Who starts and stops a server, behind one Protocol.

`control_for(runtime)` chooses: the unit of systemd when it exists, else a process of
our own when its command exists, else nobody (`managed_by` external). A control touches
no database: what it learns goes back in its answers, and services keep it in the row.
Only processes that we started are ever ended; nothing is found by its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from runtime_app.choices import ManagedBy
from runtime_app.runtimes.base import Check


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a server is started: argv without a shell, what is added to its
    environment, and what it will serve (`model` is the folder or name it is given,
    `served_name` what its own list must then say). Holds no secret: keys are added
    when the process starts."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    model: str = ""
    served_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that listens on the server's port and is not ours."""

    pid: int | None
    user: str
    command: str  # its name and first words, secrets masked


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSeen:
    """One look at the process behind a server.

    `state`: `running`, `starting`, `stopping`, `stopped`, `crashed` (it was to run
    and does not), `unknown` where this node cannot see it. `identity` is that of
    `clients.processes`, empty where we started none. Memory is that of the whole tree.
    """

    state: str
    identity: str = ""
    pid: int | None = None
    started_at: datetime | None = None
    memory_bytes: int | None = None
    restarts: int | None = None  # as systemd counts them
    exit_code: int | None = None  # 0 after a crash too: not a proof of anything
    holder: Holder | None = None


class ServerControl(Protocol):
    """Starts, stops and watches the server of one row on this node."""

    managed_by: ManagedBy

    @property
    def supports(self) -> frozenset[str]:
        """Of `start`, `stop`, `restart` what this control can do now."""
        ...

    def look(self) -> ProcessSeen:
        """Cheap enough for every health check; never raises `WireError`."""
        ...

    def start(self, launch: Launch) -> ProcessSeen:
        """Write the launch file, start the process, return at once: readiness is the
        adapter's question. Raises `WireError` (command missing, port taken by a
        foreign process, unit refused, disk full)."""
        ...

    def stop(self, *, grace_seconds: float, check: Check) -> None:
        """Return when nothing of it is left: session, group and port are proved.
        Nothing to stop is no error. Raises `WireError` naming what survived."""
        ...

    def log_paths(self) -> list[Path]:
        """Its log files, the present one first; empty when the journal has it."""
        ...

    def tail(self, lines: int) -> list[str]:
        """The last lines of file or journal, secrets masked."""
        ...

    def cause(self) -> str:
        """Why the last start failed: the engine's first error line of that run, or
        what the exit says; empty when nothing is known."""
        ...
