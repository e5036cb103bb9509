"""A server as a process of our own: started from its launch file, found by identity.

Chosen where no unit of systemd exists and the command does. The identity comes from
the row; the launcher notes it beside the launch file as well, so that a server whose
starter died before it wrote the row is ours all the same. Nothing here is found by its
name, and a process that listens on our port without being ours is never touched.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from django.conf import settings

from runtime_app.choices import ManagedBy
from runtime_app.runtimes import launch_files
from runtime_app.runtimes.base import Check
from runtime_app.runtimes.control import Holder, Launch, ProcessSeen
from venom_site.clients import (
    ports,
    processes,
    server_log_causes,
    server_logs,
    server_processes,
)
from venom_site.clients.ports import Listener, PortSeen
from venom_site.clients.server_processes import Tree
from venom_site.lib.errors import WireError


class CommandMissing(WireError):
    """There is no such program, or it may not be run."""


class PortTaken(WireError):
    """Somebody else listens where this server is to; `holder` says who."""

    def __init__(self, message: str, holder: Holder) -> None:
        super().__init__(message)
        self.holder = holder


class StillThere(WireError):
    """Processes lived on after SIGKILL, or the port is still held."""


class ProcessControl:
    """`identity` is that of the row, empty where nothing was started; `command` are the
    words that start this kind of server; `secrets` go into its environment only."""

    managed_by = ManagedBy.PROCESS

    def __init__(
        self,
        *,
        name: str,
        port: int | None,
        identity: str,
        node: str,
        command: tuple[str, ...],
        secrets: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._name, self._port, self._node = name, port, node
        self._command, self._secrets = command, secrets
        self._log = server_logs.log_path(Path(settings.DATA_DIR) / "logs", name)
        self._note = launch_files.folder() / f"{name}.process"
        self._identity = self._known(identity)

    def _known(self, identity: str) -> str:
        """The row's, unless that one is gone and the noted one is not."""
        tree = server_processes.look(identity)
        if tree and tree.rows:
            return identity
        with suppress(OSError, UnicodeDecodeError):
            text = self._note.read_text(encoding="utf-8")
            noted = processes.noted_identity(self._node, text)
            found = server_processes.look(noted)
            if found and found.rows:
                return noted
        return identity

    @property
    def supports(self) -> frozenset[str]:
        can_start = bool(self._command) and _is_there(self._command[0])
        tree = server_processes.look(self._identity)
        if tree and tree.rows:
            return frozenset({"stop", "restart"} if can_start else {"stop"})
        return frozenset({"start"} if can_start else ())

    def look(self) -> ProcessSeen:
        tree = server_processes.look(self._identity)
        if tree is None and self._is_elsewhere():
            return ProcessSeen(state="unknown", identity=self._identity)
        port = self._port_seen(tree)
        holder = _holder(port)
        if tree is None:  # the machine has started anew since: gone like any crash
            state = "crashed" if processes.node_of(self._identity) else "stopped"
            return ProcessSeen(state=state, holder=holder)
        return ProcessSeen(
            state=self._state(tree, port),
            identity=self._identity,
            pid=tree.pid if tree.leader_lives else None,
            started_at=tree.started_at,
            memory_bytes=tree.memory_bytes,
            exit_code=tree.exit_code,
            holder=holder,
        )

    def _is_elsewhere(self) -> bool:
        """Whether another node started it, whose processes and ports are not ours."""
        return processes.node_of(self._identity) not in {"", self._node}

    def _state(self, tree: Tree, port: PortSeen) -> str:
        if not tree.leader_lives:
            return "crashed"
        return "running" if self._port is None or port.is_ours else "starting"

    def _port_seen(self, tree: Tree | None) -> PortSeen:
        if self._port is None:
            return PortSeen()
        return ports.look(self._port, ours=tree.pids if tree else ())

    def _port_settled(self, tree: Tree | None = None) -> PortSeen:
        if self._port is None:
            return PortSeen()
        return ports.look_settled(self._port, ours=tree.pids if tree else ())

    def start(self, launch: Launch) -> ProcessSeen:
        """Does nothing when it runs already: a start may be repeated."""
        tree = server_processes.look(self._identity)
        if tree and tree.leader_lives:
            return self.look()
        self._refuse_remains(tree)
        _refuse_missing(launch.argv)
        self._refuse_taken()
        file = launch_files.write(self._name, launch)
        server_logs.begin_run(self._log)
        self._identity = server_processes.start(
            file,
            node=self._node,
            folder=Path(settings.BASE_DIR),
            log=self._log,
            note=self._note,
            secrets=self._secrets,
        )
        return self.look()

    def _refuse_remains(self, tree: Tree | None) -> None:
        if tree and tree.rows:
            pids = ", ".join(str(row.pid) for row in tree.rows)
            raise StillThere(
                f"Processes of the last run of {self._name} are still there "
                f"(pid {pids}) and hold its memory. Stop the server first."
            )

    def _refuse_taken(self) -> None:
        holder = _holder(self._port_settled())
        if holder is not None:
            raise PortTaken(
                f"Port {self._port} is held by {_told(holder)}, which Venom did not "
                "start and will not stop. Stop it yourself, or give this server "
                "another port.",
                holder,
            )

    def stop(self, *, grace_seconds: float, check: Check) -> None:
        tree = server_processes.look(self._identity)
        before = {found.pid for found in self._port_settled(tree).foreign}
        left = server_processes.stop(
            self._identity, grace_seconds=grace_seconds, check=check
        )
        if left:
            told = "; ".join(f"pid {each.pid} {each.command}".strip() for each in left)
            raise StillThere(
                f"{self._name} was killed and is still there: {told}. It may wait for "
                "a device or belong to another user; end it by hand."
            )
        self._prove_the_port(before)
        with suppress(OSError):  # an old note names nobody who lives
            self._note.unlink(missing_ok=True)
        self._identity = ""

    def _prove_the_port(self, before: set[int | None]) -> None:
        """A stranger who held it all along is a conflict, but nothing of ours."""
        for found in self._port_settled().foreign:
            if found.pid not in before:
                raise StillThere(
                    f"All processes of {self._name} have ended, and port {self._port} "
                    f"is still held by {_told(_as_holder(found))}."
                )

    def log_paths(self) -> list[Path]:
        now = [self._log] if server_logs.is_there(self._log) else []
        return now + [run.path for run in server_logs.earlier_runs(self._log)]

    def tail(self, lines: int) -> list[str]:
        return server_logs.tail(self._log, lines)

    def cause(self) -> str:
        tree = server_processes.look(self._identity)
        code = tree.exit_code if tree else None
        if said := server_log_causes.first_error(self._log):
            return said
        if tree and tree.leader_lives:
            return ""
        return f"{_end(code)} {server_logs.why_unheard(self._log)}".strip()


def _holder(port: PortSeen) -> Holder | None:
    return _as_holder(port.foreign[0]) if port.foreign else None


def _as_holder(found: Listener) -> Holder:
    return Holder(pid=found.pid, user=found.user, command=found.command)


def _is_there(command: str) -> bool:
    place = str(Path(settings.BASE_DIR) / command) if "/" in command else command
    return shutil.which(place) is not None


def _refuse_missing(argv: tuple[str, ...]) -> None:
    if not argv or not _is_there(argv[0]):
        name = argv[0] if argv else ""
        raise CommandMissing(
            f"“{name}” does not start: there is no such program, or it may not be run. "
            "Install it or name it in the settings.",
            permanent=True,
        )


def _told(holder: Holder) -> str:
    who = (
        f"pid {holder.pid}" if holder.pid else "a process that cannot be seen from here"
    )
    user = f", user {holder.user}" if holder.user else ""
    return f"{who}{user} ({holder.command})" if holder.command else f"{who}{user}"


def _end(code: int | None) -> str:
    """What an exit code says; 0 is no proof of an orderly end."""
    if code is None:
        return ""
    if code == -signal.SIGKILL:
        return "It was killed (SIGKILL), often by the kernel for want of memory."
    if code < 0:
        with suppress(ValueError):
            return f"It ended by {signal.Signals(-code).name}."
    return f"It ended with exit code {code} and said nothing."
