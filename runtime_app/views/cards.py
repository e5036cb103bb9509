"""What the templates of runtimes are given: one card per server, one row per model.

Built from rows in a fixed number of queries; also used by the socket's fragments. A
card shows the first few models: a server may list a thousand.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Q
from django.utils.dateparse import parse_datetime

from models_app.choices import PROVIDER_RUNTIMES, OperationStatus, OperationType
from models_app.models import InstalledModel, Operation
from models_app.services.targets import runtimes_lock
from runtime_app.choices import CAN_UNLOAD, ManagedBy, RuntimeKind, RuntimeStatus, Wish
from runtime_app.models import Activation, Runtime
from runtime_app.views.card_facts import Machine, bars_of, latencies, read_machine
from runtime_app.views.card_shapes import Latency, ModelRow, RuntimeCard

__all__ = ["ModelRow", "RuntimeCard", "all_cards", "card_of", "cards"]

_PROVIDERS = {runtime: provider for provider, runtime in PROVIDER_RUNTIMES.items()}
_CAN_ACTIVATE = frozenset({RuntimeStatus.ONLINE, RuntimeStatus.DEGRADED})


class _Facts(NamedTuple):
    """What is read once for all cards."""

    active: dict[UUID, Activation]
    work: list[Operation]
    pinned: set[tuple[object, str]]
    latency: dict[UUID, Latency]
    machine: Machine


def cards(rows: Iterable[Runtime]) -> list[RuntimeCard]:
    """The cards of these rows, in their order; four queries however many there are."""
    rows = list(rows)
    facts = _Facts(
        active={a.runtime_id: a for a in Activation.objects.active()},
        work=list(_work_on(rows)),
        pinned=_pinned(rows),
        latency=latencies(rows),
        machine=read_machine(),
    )
    return [_card(row, facts) for row in rows]


def _work_on(rows: list[Runtime]) -> Iterable[Operation]:
    """What holds these runtimes now, and the downloads that have begun."""
    locks = {runtimes_lock(row.node) for row in rows}
    holds = Q(lock_key__in=locks, status=OperationStatus.IN_PROGRESS)
    begun = Q(bytes_done__gt=0) | Q(status=OperationStatus.IN_PROGRESS)
    half = Q(operation_type=OperationType.INSTALL) & begun
    return Operation.objects.open().filter(holds | half)


def _pinned(rows: list[Runtime]) -> set[tuple[object, str]]:
    """Node and name of pinned models; asked only where something is in memory."""
    if not any(row.loaded_models for row in rows if row.kind in CAN_UNLOAD):
        return set()
    models = InstalledModel.objects.filter(pinned=True)
    return {(m.node_id, m.name.lower()) for m in models.only("node_id", "name")}


def all_cards() -> list[RuntimeCard]:
    """Every runtime that the profile shows."""
    return cards(Runtime.objects.of_profile().in_order())


def card_of(name: str) -> RuntimeCard | None:
    """The card of one runtime, for a fragment; None when the profile hides it."""
    found = cards(Runtime.objects.of_profile().in_order().filter(name=name)[:1])
    return found[0] if found else None


def _card(row: Runtime, facts: _Facts) -> RuntimeCard:
    activation = facts.active.get(row.pk)
    served = activation.served_name if activation else ""
    lock, provider = runtimes_lock(row.node), _PROVIDERS.get(row.kind, "")
    holders = (op for op in facts.work if op.is_running and op.lock_key == lock)
    is_added = row.kind == RuntimeKind.OPENAI_COMPATIBLE
    return RuntimeCard(
        name=row.name,
        display_name=row.display_name,
        kind=row.get_kind_display(),
        base_url=row.base_url,
        managed_by=row.get_managed_by_display(),
        status=row.status,
        version=row.version,
        latency_ms=row.latency_ms,
        last_check_at=row.last_check_at,
        error_message=row.error_message,
        is_active=activation is not None,
        active_model=activation.model_name if activation else "",
        flap_count=row.flap_count,
        is_unstable=row.is_unstable,
        url=row.get_absolute_url(),
        can_activate=row.status in _CAN_ACTIVATE and bool(row.served_models),
        locked_by=next(holders, None),
        can_unload=row.kind in CAN_UNLOAD,
        models=_model_rows(row, served, facts.pinned),
        last_answer_at=row.last_answer_at,
        provider=provider,
        downloads=sum(_is_download(op, row, provider) for op in facts.work),
        port=row.port,
        has_control=row.managed_by != ManagedBy.EXTERNAL and not is_added,
        is_wanted=row.wish == Wish.RUNNING,
        is_added=is_added,
        changed_at=row.changed_at,
        pid=row.pid,
        started_at=row.process_started_at,
        restarts=row.restarts,
        crashes=row.crashes,
        start_again_at=row.start_again_at,
        holder=row.holder,
        bars=bars_of(row, facts.machine),
        latency=facts.latency.get(row.pk),
        names=row.names if isinstance(row.names, dict) else {},
    )


def _is_download(operation: Operation, row: Runtime, provider: str) -> bool:
    if operation.operation_type != OperationType.INSTALL:
        return False
    return (operation.node_id, operation.provider) == (row.node_id, provider)


def _model_rows(
    row: Runtime, served: str, pinned: set[tuple[object, str]]
) -> list[ModelRow]:
    """What is in memory first, then the rest as the server lists them."""
    in_memory = {entry["name"]: entry for entry in row.loaded_models}
    listed = {entry["name"]: entry for entry in row.served_models}
    entries = {name: listed.get(name, {"name": name}) for name in in_memory} | listed
    return [
        _model_row(
            entry,
            in_memory.get(name),
            active=name == served,
            pinned=(row.node_id, name.lower()) in pinned,
        )
        for name, entry in entries.items()
    ]


def _model_row(
    model: dict[str, Any],
    loaded: dict[str, Any] | None,
    *,
    active: bool,
    pinned: bool,
) -> ModelRow:
    memory = loaded or {}
    return ModelRow(
        name=model["name"],
        size_bytes=model.get("size_bytes"),
        parameter_size=model.get("parameter_size") or "",
        quantization=model.get("quantization") or "",
        family=model.get("family") or "",
        loaded=loaded is not None,
        size_vram_bytes=memory.get("size_vram_bytes"),
        expires_at=parse_datetime(memory.get("expires_at") or ""),
        stays="expires_at" in memory and memory["expires_at"] is None,
        active=active,
        pinned=pinned,
        memory_bytes=memory.get("size_bytes"),
    )
