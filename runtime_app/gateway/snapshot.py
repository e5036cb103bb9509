"""What the gateway knows: keys, runtimes, the active model, frozen and in memory.

Loaded off the event loop when `PolicyVersion` has moved; that number is read twice a
second. A database that is away leaves the last snapshot in force. The request path
itself never asks the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from runtime_app.choices import RuntimeKind
from runtime_app.governance.policy import policy_number
from runtime_app.models import Activation, ApiKey, Runtime
from venom_site.lib.listening import listening
from venom_site.lib.secrets import Undecryptable, decrypt

logger = logging.getLogger(__name__)

NOTE_USE_SECONDS = 30.0
LOOK_AGAIN_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEntry:
    id: str
    name: str
    scopes: frozenset[str]
    expires_at: datetime | None

    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeEntry:
    """`endpoint` is where the OpenAI routes begin; `served` the server's own names."""

    name: str
    display_name: str
    provider: str
    kind: str
    endpoint: str
    node: str
    status: str = "unknown"
    served: tuple[str, ...] = ()
    created: int = 0
    key: str | None = field(default=None, repr=False)
    key_is_unreadable: bool = False

    def served_name(self, model: str) -> str | None:
        """The server's own name for `model`; Ollama's `:latest` may be left out."""
        if model in self.served:
            return model
        latest = f"{model}:latest"
        is_short = self.kind == RuntimeKind.OLLAMA and latest in self.served
        return latest if is_short else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveEntry:
    runtime: RuntimeEntry
    model_name: str
    served_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    number: int
    profile: str
    keys: Mapping[str, KeyEntry] = field(default_factory=dict, repr=False)
    runtimes: tuple[RuntimeEntry, ...] = ()
    active: ActiveEntry | None = None


def load() -> Snapshot:
    """Read everything; the number first, so that a later change is seen again."""
    number = policy_number()
    rows = list(Runtime.objects.of_profile().in_order())
    runtimes = {row.pk: _runtime_entry(row) for row in rows}
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
        profile=settings.RUNTIME_PROFILE,
        keys={row.key_hash: _key_entry(row) for row in ApiKey.objects.usable()},
        runtimes=tuple(runtimes.values()),
        active=active,
    )


def _key_entry(row: ApiKey) -> KeyEntry:
    return KeyEntry(
        id=str(row.pk),
        name=row.name,
        scopes=frozenset(row.scopes),
        expires_at=row.expires_at,
    )


def _runtime_entry(row: Runtime) -> RuntimeEntry:
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
        created=int(row.created_at.timestamp()),
        key=key,
        key_is_unreadable=unreadable,
    )


def _load_if_changed(known: int | None, used: Mapping[str, datetime]) -> Any:
    """In a thread: the new snapshot, or None when the number has not moved."""
    try:
        for pk, moment in used.items():
            ApiKey.objects.filter(pk=pk).update(last_used_at=moment)
        return load() if known is None or policy_number() != known else None
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
        if event["type"] in {"activation.changed", "runtime.changed"}:
            self._moved.set()

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
            known = self.present.number if self.present else None
            used = self._use_to_note()
            try:
                found = await sync_to_async(_load_if_changed, thread_sensitive=False)(
                    known, used
                )
            except (DatabaseError, InterfaceError) as error:
                self._say_away(error)
                return
            self._is_away = False
            if found is not None:
                self.present = found

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
