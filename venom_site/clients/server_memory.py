"""A server's processes as one, ours or foreign: memory, ids, since when; who listens.

A server is a tree: Ollama's runners and vLLM's engine are children of what listens.
Reads only; what ends meanwhile or belongs to somebody else is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import psutil

from venom_site.clients import ports, process_trees, processes
from venom_site.clients.here import is_this_machine
from venom_site.clients.processes import Known

# They hold a port in the name of a container: their memory is not the server's.
FORWARDERS = frozenset({"docker-proxy", "rootlessport", "pasta", "slirp4netns"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessTree:
    """`memory_bytes` is resident memory; what the processes share counts once. `head`
    names this very process, so that a later one with its number is another."""

    head: Known
    pids: frozenset[int]
    memory_bytes: int | None
    started_at: datetime


def tree_of(pid: int) -> ProcessTree | None:
    """The process and all that belong to it; None when it has ended."""
    rows = process_trees.family(pid)
    try:
        started = psutil.Process(pid).create_time()
    except psutil.Error:
        return None
    if not rows:
        return None
    return ProcessTree(
        head=rows[0].known,
        pids=frozenset(row.pid for row in rows),
        memory_bytes=process_trees.memory_bytes(rows),
        started_at=datetime.fromtimestamp(started, UTC),
    )


def living_pid(identity: str) -> int | None:
    """The process id of an identity (`clients.processes`); None when it ended, or is
    another machine's or container's, where the number means somebody else."""
    found = processes.known(identity)
    return found.pid if found and process_trees.still_there(found) else None


def listener_on(host: str, port: int) -> int | None:
    """Who listens there; None where nobody does, where the address is not this
    machine's, and where the process is another user's or only forwards.

    May look through the open files of every process: some ten milliseconds, so callers
    keep the answer as long as that process lives.
    """
    if not is_this_machine(host):
        return None
    found = (listener.pid for listener in ports.look(port).foreign)
    return next((pid for pid in found if pid and not _forwards(pid)), None)


def _forwards(pid: int) -> bool:
    try:
        return psutil.Process(pid).name() in FORWARDERS
    except psutil.Error:
        return True
