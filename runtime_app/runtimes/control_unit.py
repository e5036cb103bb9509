"""A server as a unit of systemd: it starts, watches, restarts and ends it for us.

The unit runs `python -m venom_site.launch <data>/runtimes/<server>.json`, so that what
it starts is what was asked for last. A unit of somebody else's making (Ollama's own
installer writes one) is started and stopped too, and keeps its own command.
"""

from __future__ import annotations

import time
from pathlib import Path

from runtime_app.choices import ManagedBy
from runtime_app.runtimes import launch_files
from runtime_app.runtimes.base import Check
from runtime_app.runtimes.control import Holder, Launch, ProcessSeen
from runtime_app.runtimes.control_process import PortTaken, StillThere
from runtime_app.runtimes.unit_words import is_at_work, result_of, state_of
from venom_site.clients import (
    control_groups,
    journal,
    ports,
    process_trees,
    server_log_causes,
    systemd,
)
from venom_site.clients.ports import PortSeen
from venom_site.clients.process_trees import Row
from venom_site.clients.systemd_answers import UnitSeen
from venom_site.clients.systemd_refusals import UnitRefused
from venom_site.lib.errors import WireError

REPEAT_SECONDS = 2.0
LOOK_EVERY_SECONDS = 0.2
KILL_SECONDS = 10.0  # for the kernel and systemd to be through with SIGKILL
LAST_LINES = 400
ALL = frozenset({"start", "stop", "restart"})


class UnitMissing(WireError):
    """systemd has no such unit, or one that cannot serve what is asked for."""


class UnitControl:
    """Implements `ServerControl` by `systemctl` and `journalctl`."""

    managed_by = ManagedBy.SYSTEMD

    def __init__(self, *, name: str, unit: str, scope: str, port: int | None) -> None:
        self._name, self._port = name, port
        self._unit, self._scope = unit, scope

    @property
    def supports(self) -> frozenset[str]:
        """All three; whether systemd lets this user do it shows in the doing."""
        is_here = systemd.exists(self._unit, self._scope)
        return ALL if is_here else frozenset()

    def look(self) -> ProcessSeen:
        """`crashed` also while systemd waits to restart it; `unknown` when systemd
        does not answer or has no such unit."""
        try:
            seen = self._seen()
        except WireError:
            return ProcessSeen(state="unknown")
        rows = self._rows(seen)
        port = self._look_at_port(seen, rows)
        return ProcessSeen(
            state=self._state(seen, port),
            pid=seen.main_pid,
            started_at=seen.started_at if seen.main_pid else None,
            memory_bytes=process_trees.memory_bytes(rows),
            restarts=seen.restarts,
            exit_code=None if seen.main_pid else seen.exit_code,
            holder=next(iter(_strangers(port)), None),
        )

    def _seen(self) -> UnitSeen:
        return systemd.look(self._unit, self._scope)

    def _rows(self, seen: UnitSeen) -> list[Row]:
        return control_groups.rows(seen.control_group, seen.main_pid)

    def _look_at_port(self, seen: UnitSeen, rows: list[Row]) -> PortSeen:
        """While it is at work, one that cannot be seen may be the unit itself."""
        if self._port is None:
            return PortSeen()
        pids = [row.pid for row in rows]
        return ports.look(self._port, ours=pids, may_hide=is_at_work(seen))

    def _port_settled(self, rows: list[Row]) -> PortSeen:
        """The same of one that is not at work."""
        if self._port is None:
            return PortSeen()
        return ports.look_settled(self._port, ours=[row.pid for row in rows])

    def _state(self, seen: UnitSeen, port: PortSeen) -> str:
        """For systemd it runs from its first moment on, for us once it listens."""
        state = state_of(seen)
        if state != "running" or self._port is None:
            return state
        others = (*port.foreign, *port.fleeting)
        is_hidden = any(found.pid is None for found in others)
        return "running" if port.is_ours or is_hidden else "starting"

    def start(self, launch: Launch) -> ProcessSeen:
        """Does nothing when it runs already: a start may be repeated."""
        seen = self._seen()
        self._refuse_unfit(seen, launch)
        if not is_at_work(seen):
            self._refuse_taken(seen)
            launch_files.write(self._name, launch)
            systemd.start(self._unit, self._scope)
        return self.look()

    def _refuse_unfit(self, seen: UnitSeen, launch: Launch) -> None:
        """One that is not there, or that would serve something else."""
        if not seen.exists:
            raise UnitMissing(
                f"systemd has no usable unit {self._unit} ({seen.load_state}). Install "
                "it from scripts/systemd, or name another one in the settings.",
                permanent=True,
            )
        if launch.model and not self._reads_launch(seen):
            raise UnitMissing(
                f"The unit {self._unit} ({seen.path}) always starts the same command "
                f"and cannot serve {launch.served_name or launch.model}. Its ExecStart "
                "must be python -m venom_site.launch "
                f"{launch_files.launch_file(self._name)}; see "
                f"scripts/systemd/README.md.{_after_a_change(seen)}",
                permanent=True,
            )

    def _reads_launch(self, seen: UnitSeen) -> bool:
        words = seen.argv.split()
        file = launch_files.launch_file(self._name).resolve()
        places = [Path(word).resolve() for word in words if word.startswith("/")]
        return "venom_site.launch" in words and file in places

    def _refuse_taken(self, seen: UnitSeen) -> None:
        for holder in _strangers(self._port_settled(self._rows(seen))):
            raise PortTaken(
                f"Port {self._port} is held by pid {holder.pid or '?'} of "
                f"{holder.user or 'an unknown user'} ({holder.command or 'unseen'}), "
                f"which is not {self._unit}. Stop it where it was started, or give "
                "this server another port.",
                holder,
            )

    def stop(self, *, grace_seconds: float, check: Check) -> None:
        """SIGTERM by systemd, again after 2 s (one that is just starting loses the
        first), SIGKILL to the whole group after `grace_seconds`; where this user may
        not send them, systemd's own time limit does it."""
        seen = self._seen()
        rows = self._rows(seen)
        before = {found.pid for found in self._port_before(seen, rows).foreign}
        if not seen.has_ended:
            systemd.stop(self._unit, self._scope)
            self._await_end(_Patience(seen.stop_seconds, grace_seconds), check)
        self._prove_ended(rows)
        self._prove_port(before)
        self._clear_failure()

    def _port_before(self, seen: UnitSeen, rows: list[Row]) -> PortSeen:
        if is_at_work(seen):
            return self._look_at_port(seen, rows)
        return self._port_settled(rows)

    def _await_end(self, patience: _Patience, check: Check) -> None:
        while not self._seen().has_ended:
            check()
            if patience.is_over:
                raise StillThere(
                    f"{self._unit} did not end within {patience.seconds:.0f} s. Run: "
                    f"sudo systemctl kill --signal=SIGKILL {self._unit}."
                )
            if signal := patience.next_signal():
                self._tell(signal, patience)
            time.sleep(LOOK_EVERY_SECONDS)

    def _tell(self, signal: str, patience: _Patience) -> None:
        try:
            systemd.kill(self._unit, self._scope, signal)
        except UnitRefused:
            patience.leave_it_to_systemd()
        except WireError:
            return  # it has just ended, or the next look says more

    def _prove_ended(self, rows: list[Row]) -> None:
        """Nothing of what its group held is left; a moment for pid 1 to reap them."""
        ends = time.monotonic() + KILL_SECONDS
        while left := [row for row in rows if process_trees.still_there(row.known)]:
            if time.monotonic() > ends:
                pids = ", ".join(str(row.pid) for row in left)
                raise StillThere(
                    f"{self._unit} has ended and left processes behind: {pids}. Its "
                    "unit needs KillMode=mixed or control-group.",
                    permanent=True,
                )
            time.sleep(LOOK_EVERY_SECONDS)

    def _prove_port(self, before: set[int | None]) -> None:
        """A stranger who held it all along is a conflict, but nothing of the unit's."""
        after = self._port_settled([]).foreign
        if left := [found for found in after if found.pid not in before]:
            raise StillThere(
                f"{self._unit} has ended, and port {self._port} is still held by pid "
                f"{left[0].pid or '?'} ({left[0].command or 'unseen'})."
            )

    def _clear_failure(self) -> None:
        """One that had to be killed on request did not fail; without the right to say
        so to systemd it stays `failed` there, and is stopped all the same."""
        try:
            if self._seen().active_state == "failed":
                systemd.forget_failure(self._unit, self._scope)
        except WireError:
            return

    def log_paths(self) -> list[Path]:
        """None: the journal has it."""
        return []

    def tail(self, lines: int) -> list[str]:
        """The last lines of the unit in the journal; where it cannot be read, the one
        line that says why and what to do."""
        try:
            return self.new_lines(lines)[0][-lines:]
        except WireError as error:
            return [str(error)]

    def new_lines(self, lines: int, after: str = "") -> tuple[list[str], str]:
        """The last lines that came after a cursor, and the cursor to go on with;
        raises `WireError` when the journal cannot be read."""
        entries = journal.read(self._unit, self._scope, lines=lines, after=after)
        cursor = entries[-1].cursor if entries else after
        return [str(entry) for entry in entries], cursor

    def cause(self) -> str:
        """The first error of the last run; of the lines before it while a new run has
        said none yet; else systemd's own result. Never raises."""
        try:
            seen = self._seen()
            return self._error_line(seen) or result_of(seen)
        except WireError as error:
            return str(error)

    def _error_line(self, seen: UnitSeen) -> str:
        run = seen.invocation
        line = self._told(journal.MOST_LINES, run) if run else ""
        return line or (self._told(LAST_LINES, "") if seen.restarts else "")

    def _told(self, lines: int, invocation: str) -> str:
        try:
            entries = journal.read(
                self._unit, self._scope, lines=lines, invocation=invocation
            )
        except WireError:
            return ""
        said = [each.text for each in entries if each.writer != journal.MANAGER]
        return server_log_causes.cause_in(said)


def _strangers(port: PortSeen) -> list[Holder]:
    """Who else listens on its port."""
    return [
        Holder(pid=found.pid, user=found.user, command=found.command)
        for found in port.foreign
    ]


def _after_a_change(seen: UnitSeen) -> str:
    return (
        " Its file has changed: run systemctl daemon-reload." if seen.is_stale else ""
    )


class _Patience:
    """Which signal is due while a unit ends, and when to give up."""

    def __init__(self, stop_seconds: float, grace_seconds: float) -> None:
        self._began = time.monotonic()
        self._stop_seconds = stop_seconds
        self._due = [(REPEAT_SECONDS, "SIGTERM"), (grace_seconds, "SIGKILL")]
        self.seconds = grace_seconds + KILL_SECONDS

    @property
    def is_over(self) -> bool:
        return time.monotonic() - self._began > self.seconds

    def next_signal(self) -> str:
        """Each one once, when its time has come; empty until then."""
        if self._due and time.monotonic() - self._began >= self._due[0][0]:
            return self._due.pop(0)[1]
        return ""

    def leave_it_to_systemd(self) -> None:
        """It sends SIGKILL itself, at its own time."""
        self._due = []
        self.seconds = max(self.seconds, self._stop_seconds + KILL_SECONDS)
