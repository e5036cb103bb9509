"""What the gateway knows: keys, runtimes, the active model, frozen and in memory.

Loaded off the event loop when `PolicyVersion` has moved; that number is read twice a
second. A database that is away leaves the last snapshot in force. The request path
itself never asks the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from models_app.choices import OperationType
from models_app.models import Operation
from runtime_app.gateway.entries import (
    ActiveEntry,
    ComingEntry,
    DrainEntry,
    KeyEntry,
    ModelEntry,
    RuntimeEntry,
    Snapshot,
)
from runtime_app.gateway.known_models import (
    installed_names,
    known_models,
    models_seen,
)
from runtime_app.governance.fallback import present_policy
from runtime_app.governance.policy import policy_number
from runtime_app.models import (
    Activation,
    Alert,
    ApiKey,
    Drain,
    Runtime,
)
from venom_site.lib.access import Scope, expand
from venom_site.lib.events import POLICY_CHANGED
from venom_site.lib.impatient import be_impatient
from venom_site.lib.listening import listening
from venom_site.lib.secrets import Undecryptable, decrypt

logger = logging.getLogger(__name__)

NOTE_USE_SECONDS = 30.0
LOOK_AGAIN_SECONDS = 0.2
# What the lower floor knows of models changes without the policy number.
_MOVING = frozenset(
    {POLICY_CHANGED, "activation.changed", "model.changed", "runtime.changed"}
)


def load() -> Snapshot:
    """Read everything; the number first, so that a later change is seen again."""
    number, seen = policy_number(), models_seen()
    rows = list(Runtime.objects.of_profile().in_order())
    known, installed = known_models(rows), installed_names()
    runtimes = {
        row.pk: _runtime_entry(
            row, known[row.pk], installed.get((row.node_id, row.kind), ())
        )
        for row in rows
    }
    activation = Activation.objects.default().first()
    active = None
    if activation is not None and activation.runtime_id in runtimes:
        active = ActiveEntry(
            runtime=runtimes[activation.runtime_id],
            model_name=activation.model_name,
            served_name=activation.served_name,
        )
    return Snapshot(
        number=number,
        models_seen=seen,
        profile=settings.RUNTIME_PROFILE,
        policy=present_policy(),
        keys={row.key_hash: _key_entry(row) for row in ApiKey.objects.usable()},
        runtimes=tuple(runtimes.values()),
        active=active,
        drains=_drains(),
        coming=_coming(),
        open_alerts=frozenset(Alert.objects.open().values_list("key", flat=True)),
    )


def _drains() -> tuple[DrainEntry, ...]:
    return tuple(
        DrainEntry(
            runtime=row.runtime.name, served_name=row.served_name, ends_at=row.ends_at
        )
        for row in Drain.objects.select_related("runtime")
    )


def _coming() -> tuple[ComingEntry, ...]:
    """From the checkpoints of activations that are under way: one at a time a node."""
    rows = Operation.objects.open().filter(operation_type=OperationType.ACTIVATE)
    told = rows.values_list("runtime", "checkpoint")
    return tuple(
        ComingEntry(runtime=runtime, served_name=kept["coming"])
        for runtime, kept in told
        if kept.get("coming")
    )


def _key_entry(row: ApiKey) -> KeyEntry:
    return KeyEntry(
        id=str(row.pk),
        name=row.name,
        scopes=expand(frozenset(Scope(scope) for scope in row.scopes)),
        expires_at=row.expires_at,
    )


def _runtime_entry(
    row: Runtime, models: Mapping[str, ModelEntry], installed: Iterable[str]
) -> RuntimeEntry:
    key, unreadable = None, False
    if row.encrypted_key:
        try:
            key = decrypt(row.encrypted_key)
        except Undecryptable:
            unreadable = True
    return RuntimeEntry(
        name=row.name,
        display_name=row.display_name,
        provider=row.provider,
        kind=row.kind,
        endpoint=row.openai_url,
        node=row.node.name,
        status=row.status,
        served=tuple(str(entry["name"]) for entry in row.served_models),
        installed=frozenset(installed),
        created=int(row.created_at.timestamp()),
        last_model=row.last_model,
        misnamed=_misnamed(row),
        key=key,
        key_is_unreadable=unreadable,
        models=models,
    )


def _misnamed(row: Runtime) -> str:
    """The alias guard's word; the list itself may be older than an activation."""
    names = row.names if isinstance(row.names, dict) else {}
    is_unpublished = names.get("is_mismatch") and "published" in names["differing"]
    return str(names["configured"]) if is_unpublished else ""


def _has_moved(known: Snapshot) -> bool:
    """Models stand on the floor below, which cannot raise our number."""
    return policy_number() != known.number or models_seen() != known.models_seen


def _load_if_changed(known: Snapshot | None, used: Mapping[str, datetime]) -> Any:
    """In a thread: the new snapshot, or None when the number has not moved."""
    try:
        if used:
            be_impatient()
        for pk, moment in used.items():
            ApiKey.objects.filter(pk=pk).update(last_used_at=moment)
        return load() if known is None or _has_moved(known) else None
    finally:
        connection.close()


class SnapshotStore:
    """Holds the present snapshot of one event loop and keeps it fresh."""

    def __init__(self) -> None:
        self.present: Snapshot | None = None
        self._refreshing = asyncio.Lock()
        self._moved = asyncio.Event()
        self._poll: asyncio.Task[None] | None = None
        self._used: dict[str, datetime] = {}
        self._noted_at = 0.0
        self._looked_again_at = 0.0
        self._is_away = False
        self._newer = asyncio.Event()

    def start(self) -> None:
        self._poll = asyncio.create_task(self._keep_fresh())

    async def stop(self) -> None:
        if self._poll is not None:
            self._poll.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._poll
        if self._used:
            self._noted_at = -NOTE_USE_SECONDS
            await self.refresh()

    async def first(self) -> Snapshot | None:
        """The present snapshot, waiting for the first one if there is none yet. While
        the database is known to be away nobody waits: the poll goes on trying."""
        if self.present is None and not self._is_away:
            await self.refresh()
        return self.present

    def note_use(self, key: KeyEntry) -> None:
        """Remember that a key was used; written down later, in one go."""
        self._used[key.id] = datetime.now(UTC)

    async def _keep_fresh(self) -> None:
        """Twice a second, and at once when an event says that something moved."""
        await self.try_refresh()
        async with listening(self._hear):
            while True:
                self._moved.clear()
                await self.try_refresh()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(
                        self._moved.wait(), settings.GATEWAY_POLL_SECONDS
                    )

    def _hear(self, event: dict[str, Any]) -> None:
        if event["type"] in _MOVING:
            self._moved.set()

    async def newer_than(self, known: Snapshot | None) -> Snapshot:
        """The present snapshot once it is another one than `known`."""
        while self.present is None or self.present is known:
            await self._newer.wait()
        return self.present

    async def look_again(self) -> bool:
        """Whether the snapshot is newer now; asks at most five times a second.

        For a key that nobody knows yet: it may have been made a moment ago.
        """
        before, now = self.present, asyncio.get_running_loop().time()
        if now - self._looked_again_at < LOOK_AGAIN_SECONDS:
            return False
        self._looked_again_at = now
        await self.try_refresh()
        return self.present is not before

    async def try_refresh(self) -> None:
        """`refresh()`, whose defects are logged and never raised."""
        try:
            await self.refresh()
        except Exception:  # one bad row must not end the poll for ever
            logger.exception("snapshot not loaded, the last one stays")

    async def refresh(self) -> None:
        async with self._refreshing:
            used = self._use_to_note()
            try:
                found = await sync_to_async(_load_if_changed, thread_sensitive=False)(
                    self.present, used
                )
            except (DatabaseError, InterfaceError) as error:
                self._used = {**used, **self._used}
                self._say_away(error)
                return
            self._is_away = False
            if found is not None:
                self._take(found)

    def _take(self, found: Snapshot) -> None:
        self.present = found
        woken, self._newer = self._newer, asyncio.Event()
        woken.set()

    def _use_to_note(self) -> dict[str, datetime]:
        now = asyncio.get_running_loop().time()
        if not self._used or now - self._noted_at < NOTE_USE_SECONDS:
            return {}
        self._noted_at = now
        used, self._used = self._used, {}
        return used

    def _say_away(self, error: Exception) -> None:
        if not self._is_away:
            logger.warning("database away, the last snapshot stays %s", error)
        self._is_away = True
