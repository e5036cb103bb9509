"""Which process of this node stands behind a runtime, and what its tree holds.

Ours is known by its identity, a unit's by its main process, everybody else's by who
listens on the port. Found once
and kept as long as that very process lives; nothing is ever searched by its name.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import UUID

from runtime_app.choices import ManagedBy
from runtime_app.models import Runtime
from venom_site.clients.server_memory import (
    ProcessTree,
    listener_on,
    living_pid,
    tree_of,
)

# A search looks through every open file: not at each sample where nothing is found.
SEARCH_AGAIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """The tree behind a runtime; `was_replaced` when the last look saw another."""

    tree: ProcessTree
    was_replaced: bool = False


class ProcessFinder:
    """Remembers who was found; for one job at a time."""

    def __init__(self) -> None:
        self._lives: dict[UUID, tuple[str, ProcessTree]] = {}
        self._searched_at: dict[UUID, float] = {}

    def find(self, runtime: Runtime) -> Behind | None:
        """None where this node sees no such process."""
        tree = _ours(runtime) or self._same(runtime) or self._searched(runtime)
        if tree is None:
            return None
        _, before = self._lives.get(runtime.pk, ("", None))
        self._lives[runtime.pk] = (runtime.base_url, tree)
        return Behind(tree=tree, was_replaced=_is_another(runtime, before, tree))

    def _same(self, runtime: Runtime) -> ProcessTree | None:
        """The one found before, if it is still that very process."""
        address, before = self._lives.get(runtime.pk, ("", None))
        if before is None or address != runtime.base_url:
            return None
        tree = tree_of(before.head.pid)
        return tree if tree is not None and tree.head == before.head else None

    def _searched(self, runtime: Runtime) -> ProcessTree | None:
        """At once when the known one has just ended, else once a minute."""
        now, last = time.monotonic(), self._searched_at.get(runtime.pk)
        if last is not None and now - last < SEARCH_AGAIN_SECONDS:
            return None
        self._searched_at[runtime.pk] = now
        pid = listener_on(runtime.host, runtime.port) if runtime.port else None
        tree = None if pid is None else tree_of(pid)
        if tree is not None:
            self._searched_at.pop(runtime.pk)
        return tree


def _ours(runtime: Runtime) -> ProcessTree | None:
    """The one that we or systemd started, as the health check noted it."""
    pid = living_pid(runtime.process) if runtime.process else None
    if pid is None and runtime.managed_by == ManagedBy.SYSTEMD:
        pid = runtime.pid
    return None if pid is None else tree_of(pid)


def _is_another(
    runtime: Runtime, before: ProcessTree | None, tree: ProcessTree
) -> bool:
    """After a restart of this worker only the row's process id is left to compare."""
    if before is not None:
        return before.head != tree.head
    return runtime.pid is not None and runtime.pid != tree.head.pid
