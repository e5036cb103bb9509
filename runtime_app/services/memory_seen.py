"""What was seen in a runtime's memory last, and whether a look changes anything."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.dateparse import parse_datetime

from models_app.choices import PROVIDER_RUNTIMES
from models_app.services.measured import InMemory, note_measured
from runtime_app.choices import RuntimeKind, RuntimeStatus
from runtime_app.events import runtime_changed
from runtime_app.models import Runtime
from runtime_app.runtimes.registry import adapter_for
from runtime_app.schemas import server_payload
from venom_site.lib.errors import WireError
from venom_site.lib.events import publish

logger = logging.getLogger(__name__)

PROVIDER_OF_KIND = {name: provider for provider, name in PROVIDER_RUNTIMES.items()}
EXPIRY_MOVED = timedelta(seconds=2)  # less is the same countdown, read a bit later


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryState:
    """One model in the memory of this node's Ollama, as last seen at `seen_at`.

    `expires_at` is None for one that stays and where the server does not say.
    """

    loaded: bool
    size_vram_bytes: int | None
    size_bytes: int | None
    expires_at: datetime | None
    runtime_status: str
    seen_at: datetime | None


def memory_of(names: Iterable[str]) -> dict[str, MemoryState]:
    """For each given name; one query, however many there are."""
    rows = Runtime.objects.of_profile().of_node(settings.NODE).defer("served_models")
    runtime = rows.filter(kind=RuntimeKind.OLLAMA).first()
    held = {entry["name"].lower(): entry for entry in _held_by(runtime)}
    return {name: _state(runtime, held.get(_tagged(name))) for name in names}


def _held_by(runtime: Runtime | None) -> list[dict[str, Any]]:
    return runtime.loaded_models if runtime else []


def _tagged(name: str) -> str:
    has_tag = ":" in name.rpartition("/")[2]
    return (name if has_tag else f"{name}:latest").lower()


def _state(runtime: Runtime | None, held: dict[str, Any] | None) -> MemoryState:
    entry = held or {}
    return MemoryState(
        loaded=held is not None,
        size_vram_bytes=entry.get("size_vram_bytes"),
        size_bytes=entry.get("size_bytes"),
        expires_at=parse_datetime(entry.get("expires_at") or ""),
        runtime_status=runtime.status if runtime else RuntimeStatus.UNKNOWN,
        seen_at=runtime.last_check_at if runtime else None,
    )


def has_moved(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> bool:
    """Whether somebody should be told: another set or size, or a moment of leaving
    that lies elsewhere. A countdown that only went on has not moved."""
    old, new = ({entry["name"]: entry for entry in held} for held in (before, after))
    if old.keys() != new.keys():
        return True
    return any(_differs(old[name], new[name]) for name in new)


def _differs(old: dict[str, Any], new: dict[str, Any]) -> bool:
    without = [{k: v for k, v in e.items() if k != "expires_at"} for e in (old, new)]
    if without[0] != without[1]:
        return True
    if not (old.get("expires_at") and new.get("expires_at")):
        return bool(old.get("expires_at", "") != new.get("expires_at", ""))
    times = [datetime.fromisoformat(entry["expires_at"]) for entry in (old, new)]
    return abs(times[0] - times[1]) > EXPIRY_MOVED


def keep_measured(runtime: Runtime, loaded: Iterable[dict[str, Any]]) -> None:
    """Tell the registry what its models were seen to take; one that still loads may
    say less than it will, and is seen again when it says more."""
    if runtime.kind not in PROVIDER_OF_KIND:
        return
    note_measured(
        runtime.node_id,
        PROVIDER_OF_KIND[runtime.kind],
        [
            InMemory(
                name=entry["name"],
                size_bytes=entry["size_bytes"],
                context_length=entry["context_length"],
            )
            for entry in loaded
            if entry.get("size_bytes") and entry.get("context_length")
        ],
    )


def note_memory(runtime: Runtime) -> None:
    """Look now and keep what is seen; a server that is away keeps its last state."""
    try:
        loaded = adapter_for(runtime).list_loaded()
    except WireError as error:
        logger.info("memory not read runtime=%s %s", runtime.name, error)
        return
    with transaction.atomic():
        row = Runtime.objects.select_related("node").filter(pk=runtime.pk).first()
        if row is None or not has_moved(row.loaded_models, loaded):
            return
        Runtime.objects.filter(pk=row.pk).update(loaded_models=loaded)
        row.loaded_models = loaded
        keep_measured(row, loaded)
        publish(runtime_changed(server_payload(row)))
