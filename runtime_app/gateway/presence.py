"""That this gateway process lives, which policy it follows and what it is answering.

Written to `GatewayPresence` when it changes, apart from the poll of the policy, which
must not wait for a database that takes no writes. Who drains a model reads it. What a
drain does not wait for any longer is ended here. The counts belong to the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import DatabaseError, InterfaceError, connection

from models_app.services.nodes import this_node
from runtime_app.gateway.entries import DrainEntry, Snapshot
from runtime_app.gateway.snapshot import SnapshotStore
from runtime_app.gateway.watch import Ended, Watch
from runtime_app.models import GatewayPresence
from venom_site.lib.ids import uuid7
from venom_site.lib.impatient import be_impatient

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
DRAINING_SECONDS = 0.2  # between two looks while somebody waits for our word
# The row of a process where nothing changes: often enough for `drain.SILENCE`, seldom
# enough for an idle machine.
QUIET_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """What one row says: a process, the policy it follows, its requests by place."""

    id: UUID
    version: int
    in_flight: dict[str, int]


class InFlight:
    """The requests that servers are answering now, by runtime and model."""

    def __init__(self) -> None:
        self._watches: dict[tuple[str, str], set[Watch]] = {}

    def begin(self, runtime: str, served_name: str, watch: Watch) -> None:
        self._watches.setdefault((runtime, served_name), set()).add(watch)

    def end(self, runtime: str, served_name: str, watch: Watch) -> None:
        watches = self._watches[runtime, served_name]
        watches.discard(watch)
        if not watches:
            del self._watches[runtime, served_name]

    def counts(self) -> dict[str, int]:
        return {
            f"{runtime}|{model}": len(watches)
            for (runtime, model), watches in self._watches.items()
        }

    def end_drained(self, drains: tuple[DrainEntry, ...]) -> None:
        """End what is still running where a drain's time is over."""
        now = datetime.now(UTC)
        over = [drain for drain in drains if drain.ends_at <= now]
        for (runtime, model), watches in tuple(self._watches.items()):
            if any(drain.concerns(runtime, model) for drain in over):
                for watch in tuple(watches):
                    watch.end(Ended.SWITCHED)


class Presence:
    """Keeps the row of one event loop from its start to its end."""

    def __init__(self, snapshots: SnapshotStore, in_flight: InFlight) -> None:
        self._snapshots = snapshots
        self._in_flight = in_flight
        self._id = uuid7()
        self._written: Sign | None = None
        self._written_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """The process ends: nothing of it is in flight any more."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._in_thread(_forget, self._id)

    async def _keep(self) -> None:
        snapshot = await self._snapshots.newer_than(None)
        while True:
            self._in_flight.end_drained(snapshot.drains)
            await self._say(
                Sign(
                    id=self._id,
                    version=snapshot.number,
                    in_flight=self._in_flight.counts(),
                )
            )
            snapshot = await self._a_moment_later(snapshot)

    async def _a_moment_later(self, known: Snapshot) -> Snapshot:
        """The snapshot in force then; at once when there is a newer one."""
        seconds = DRAINING_SECONDS if known.drains else LOOK_SECONDS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._snapshots.newer_than(known)
        return known

    async def _say(self, sign: Sign) -> None:
        is_due = time.monotonic() - self._written_at >= QUIET_SECONDS
        if sign == self._written and not is_due:
            return
        if await self._in_thread(_write, sign):
            self._written, self._written_at = sign, time.monotonic()

    async def _in_thread(self, work: Callable[[Any], None], about: Any) -> bool:
        """Whether it went well; a database that is away hears of us when it is back."""
        try:
            await sync_to_async(work, thread_sensitive=False)(about)
        except (DatabaseError, InterfaceError) as error:
            logger.debug("presence not written %s", error)
        except Exception:  # one bad row must not end the task for ever
            logger.exception("presence not written")
        else:
            return True
        return False


def _write(sign: Sign) -> None:
    now = datetime.now(UTC)
    said = {"version": sign.version, "in_flight": sign.in_flight, "seen_at": now}
    try:
        be_impatient()
        if not GatewayPresence.objects.filter(pk=sign.id).update(**said):
            GatewayPresence.objects.create(
                id=sign.id, node=this_node(), process=_process_name(), **said
            )
    finally:
        connection.close()


def _forget(pk: UUID) -> None:
    try:
        be_impatient()
        GatewayPresence.objects.filter(pk=pk).delete()
    finally:
        connection.close()


def _process_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"[:80]
