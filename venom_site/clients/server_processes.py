"""Servers as processes of our own: start one, look at it, end all of it.

A server leads its own session, so it outlives the worker that started it and is found
again by its identity (`processes.py`). What is signalled is the session, never a name
and never a bare number: each process is held by a descriptor, looked at again and only
then told, so that a number given anew is never hit (pidfd, Linux 5.3).

Seen of vLLM 0.32: SIGTERM while it starts may be lost and has to be repeated; SIGKILL
of the parent leaves the engine; a crashed engine ends the parent with exit code 0.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from venom_site import launch
from venom_site.clients import process_trees, processes, server_logs
from venom_site.clients.process_trees import Row
from venom_site.clients.processes import Known
from venom_site.env import Env
from venom_site.lib.errors import WireError
from venom_site.lib.logging import without_secrets

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 2.0  # between two SIGTERMs
KILL_SECONDS = 5.0  # for the kernel to end what got SIGKILL
LOOK_SECONDS = 0.05
MOST_ENDS_KEPT = 50
# What is ours alone; the product's own variables (VLLM_PORT, OLLAMA_…) would be taken
# by the servers for theirs, and its secrets are no server's business.
OURS = ("VENOM_", "DJANGO_", "PYTEST_")

# Those that this process started and has not reaped yet, and how the others ended.
_children: set[Known] = set()
_ended: dict[Known, int] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A server and all that it started. `leader_lives` is false where only others are
    left; `exit_code` is known to the process that started it, negative for a signal."""

    identity: str
    pid: int
    rows: tuple[Row, ...] = ()
    leader_lives: bool = False
    started_at: datetime | None = None
    memory_bytes: int | None = None
    exit_code: int | None = None

    @property
    def count(self) -> int:
        return len(self.rows)

    @property
    def pids(self) -> frozenset[int]:
        return frozenset(row.pid for row in self.rows)


@dataclass(frozen=True, slots=True)
class Survivor:
    """A process that lived on after SIGKILL, or that we may not signal."""

    pid: int
    command: str  # its first words, secrets masked


def start(
    file: Path,
    *,
    node: str,
    folder: Path,
    log: Path,
    note: Path,
    secrets: Mapping[str, str] | None = None,
) -> str:
    """Start what the launch file says; returns the identity, at once.

    `secrets` are added to its environment and written nowhere. Output is appended to
    `log`. Raises `WireError` when there is no process to be had.
    """
    python = [sys.executable, "-I", "-S", launch.__file__]
    output = server_logs.open_log(log)
    try:
        process = subprocess.Popen(  # noqa: S603  (our own launcher, no shell)
            [*python, str(file), str(note)],
            cwd=folder,
            env={**_environment(), **(secrets or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise WireError(f"No process could be started: {error}.") from error
    finally:
        os.close(output)
    return _keep(process, node)


def _keep(process: subprocess.Popen[bytes], node: str) -> str:
    # Nobody has waited for it, so its number is its own, even if it has ended.
    identity = processes.identity_of(node, process.pid)
    if found := processes.known(identity):
        _children.add(found)
    process.returncode = 0  # reaped by `_reap`; the object would warn of a living one
    return identity


def _environment() -> dict[str, str]:
    ours = {*Env.model_fields, *(f"{name}_FILE" for name in Env.model_fields)}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith(OURS)
    }


def look(identity: str) -> Tree | None:
    """What is there of it now; None when this machine cannot know: another node's, or
    no identity. One that is gone whole has no rows."""
    leader = processes.known(identity)
    if leader is None:
        return None
    exit_code = _reap(leader)
    rows = process_trees.members(leader)
    lives = bool(rows) and rows[0].known == leader
    return Tree(
        identity=identity,
        pid=leader.pid,
        rows=tuple(rows),
        leader_lives=lives,
        started_at=_started_at(leader) if lives else None,
        memory_bytes=process_trees.memory_bytes(rows),
        exit_code=exit_code,
    )


def _reap(leader: Known) -> int | None:
    """How our own child ended, if it did."""
    if leader in _children:
        with suppress(ChildProcessError):  # another thread was faster
            pid, status = os.waitpid(leader.pid, os.WNOHANG)
            if pid:
                _children.discard(leader)
                _ended[leader] = os.waitstatus_to_exitcode(status)
        for old in list(_ended)[:-MOST_ENDS_KEPT]:
            _ended.pop(old, None)
    return _ended.get(leader)


def _started_at(leader: Known) -> datetime | None:
    with suppress(psutil.Error, OSError):
        return datetime.fromtimestamp(psutil.Process(leader.pid).create_time(), UTC)
    return None


def stop(
    identity: str,
    *,
    grace_seconds: float,
    check: Callable[[], None],
    again_seconds: float = AGAIN_SECONDS,
) -> list[Survivor]:
    """End all of it; returns what survived, usually nobody.

    SIGTERM, again every two seconds, SIGKILL to what is left after the time of grace.
    Whoever was seen once is watched until it is gone, also when it opened a session of
    its own meanwhile. `check` is called all along and may raise. Nothing to stop, and
    an identity of another machine, is nobody.
    """
    leader = processes.known(identity)
    if leader is None:
        return []
    crowd = _Crowd(leader)
    deadline = time.monotonic() + grace_seconds
    while crowd.living() and time.monotonic() < deadline:
        crowd.tell(signal.SIGTERM)
        again = min(time.monotonic() + again_seconds, deadline)
        _wait(lambda: not crowd.living(), again, check)
    deadline = time.monotonic() + KILL_SECONDS
    while crowd.living() and time.monotonic() < deadline:
        crowd.tell(signal.SIGKILL)
        again = min(time.monotonic() + 0.2, deadline)
        _wait(lambda: not crowd.living(), again, lambda: None)
    return [Survivor(row.pid, command_of(row.pid)) for row in crowd.living()]


class _Crowd:
    """The processes of one server, and those that were once seen among them."""

    def __init__(self, leader: Known) -> None:
        self._leader = leader
        self._seen: set[Known] = set()

    def living(self) -> list[Row]:
        _reap(self._leader)
        now = {row.known: row for row in process_trees.members(self._leader)}
        for known in self._seen - now.keys():
            row = process_trees.row_of(known.pid)
            if row and row.known == known and not row.is_gone:
                now[known] = row
        self._seen |= now.keys()
        return list(now.values())

    def tell(self, number: signal.Signals) -> None:
        for row in self.living():
            _tell(row.known, number)


def _tell(process: Known, number: signal.Signals) -> None:
    """The descriptor holds one process for good: if it is the right one after opening,
    the signal cannot reach another."""
    held = _held(process.pid)
    try:
        if process_trees.still_there(process):
            with suppress(ProcessLookupError, PermissionError):
                if held is None:
                    os.kill(process.pid, number)
                else:
                    signal.pidfd_send_signal(held, number)
    finally:
        if held is not None:
            os.close(held)


def _held(pid: int) -> int | None:
    """None where there are no such descriptors: macOS, a sandbox, too many open."""
    with suppress(AttributeError, OSError):
        return os.pidfd_open(pid)
    return None


def _wait(is_over: Callable[[], bool], until: float, check: Callable[[], None]) -> None:
    while not is_over() and time.monotonic() < until:
        check()
        time.sleep(LOOK_SECONDS)


def command_of(pid: int) -> str:
    """The first words of its command line, secrets masked; its bare name where they
    cannot be read, empty where it is gone."""
    try:
        process = psutil.Process(pid)
        with suppress(psutil.AccessDenied):
            if words := process.cmdline():
                return without_secrets(" ".join(words[:6]))[:200]
        return process.name()
    except (psutil.Error, OSError):
        return ""
