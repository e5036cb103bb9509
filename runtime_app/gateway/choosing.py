"""The decision for one request, made anew for as long as the request is held.

A runtime that starts, a model that is being switched and one that is activated for this
very request are waited for, as long as the policy says.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any
from uuid import UUID

from runtime_app.gateway.entries import KeyEntry, Snapshot
from runtime_app.gateway.names import Route
from runtime_app.gateway.routing import Asked, Decision, choose_route
from runtime_app.gateway.snapshot import SnapshotStore
from runtime_app.gateway.switching import failed_switch, start_switch
from runtime_app.gateway.waiting import until_ended

# Enough for the models of a house; clients may invent names, long ones too.
_MOST_REMEMBERED = 256
_LONGEST_NAME = 250


def decision_for(asked: Asked, snapshot: Snapshot) -> Decision:
    """`choose_route()`, which is pure, once for all who ask the same of a snapshot."""
    known: Decision | None = snapshot.decided.get(asked)
    if known is not None:
        return known
    decision = choose_route(asked, snapshot, snapshot.policy)
    is_short = len(asked.model or "") <= _LONGEST_NAME
    if is_short and decision.routes and len(snapshot.decided) < _MOST_REMEMBERED:
        snapshot.decided[asked] = decision
    return decision


class Choice:
    """`decision` is the present one; `queue_seconds` how long the request was held."""

    def __init__(
        self,
        asked: Asked,
        *,
        key: KeyEntry,
        snapshot: Snapshot,
        snapshots: SnapshotStore,
    ) -> None:
        self._asked = asked
        self._key = key
        self._snapshots = snapshots
        self.snapshot = snapshot
        self.decision = decision_for(asked, snapshot)
        self.queue_seconds: float | None = None

    async def hold(self) -> None:
        """Until the first choice can answer or the time is up; raises `Refused` for a
        switch that cannot be made and leaves nobody else."""
        began = time.perf_counter()
        seconds = self.snapshot.policy.hold_seconds
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._until_ready(seconds)
        finally:
            self.queue_seconds = time.perf_counter() - began
        if self.decision.awaited is None:
            self.decision = self.decision.after_waiting()

    async def _until_ready(self, seconds: float) -> None:
        while (awaited := self.decision.awaited) is not None:
            if not self.decision.must_activate:
                await self._look_again()
                continue
            pk = await start_switch(awaited, self.snapshot, self._key)
            await _first_of(self._until_active(), until_ended(str(pk), seconds))
            await self._snapshots.try_refresh()
            self.snapshot = self._snapshots.present or self.snapshot
            self._decide()
            if self.decision.must_activate:
                await self._give_up(pk, awaited)
                return

    async def _give_up(self, pk: UUID, awaited: Route) -> None:
        """The switch has ended and the model is not active: say why."""
        failure = await failed_switch(pk, awaited)
        if failure is not None:
            self.decision = replace(self.decision, refusal=failure)

    async def _until_active(self) -> None:
        while self.decision.must_activate:
            await self._look_again()

    async def _look_again(self) -> None:
        self.snapshot = await self._snapshots.newer_than(self.snapshot)
        self._decide()

    def _decide(self) -> None:
        self.decision = decision_for(self._asked, self.snapshot)


async def _first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Until one of them has ended; what it raises is raised here."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
