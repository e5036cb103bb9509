"""What the templates of runtimes are given: one card per server, one row per model.

Built from rows in a fixed number of queries; also used by the socket's fragments.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime

from models_app.models import Operation
from runtime_app.choices import RuntimeStatus
from runtime_app.models import Activation, Runtime

_CAN_ACTIVATE = frozenset({RuntimeStatus.ONLINE, RuntimeStatus.DEGRADED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    name: str
    size_bytes: int | None
    parameter_size: str
    quantization: str
    family: str
    loaded: bool
    size_vram_bytes: int | None
    expires_at: datetime | None
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeCard:
    name: str
    display_name: str
    kind: str
    base_url: str
    managed_by: str
    status: str
    version: str
    latency_ms: float | None
    last_check_at: datetime | None
    error_message: str
    is_active: bool
    active_model: str
    flap_count: int
    is_unstable: bool
    url: str
    can_activate: bool
    locked_by: Operation | None
    models: list[ModelRow] = field(default_factory=list)


def cards(rows: Iterable[Runtime]) -> list[RuntimeCard]:
    """The cards of these rows, in their order; two queries however many there are."""
    rows = list(rows)
    active = {a.runtime_id: a for a in Activation.objects.active()}
    locks = {f"{row.node.name}|runtimes" for row in rows}
    holders = Operation.objects.running().filter(lock_key__in=locks)
    held = {operation.lock_key: operation for operation in holders}
    return [
        _card(row, active.get(row.pk), held.get(f"{row.node.name}|runtimes"))
        for row in rows
    ]


def all_cards() -> list[RuntimeCard]:
    """Every runtime that the profile shows."""
    return cards(Runtime.objects.of_profile().in_order())


def card_of(name: str) -> RuntimeCard | None:
    """The card of one runtime, for a fragment; None when the profile hides it."""
    found = cards(Runtime.objects.of_profile().in_order().filter(name=name)[:1])
    return found[0] if found else None


def _card(
    row: Runtime, activation: Activation | None, holder: Operation | None
) -> RuntimeCard:
    served = activation.served_name if activation else ""
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
        locked_by=holder,
        models=[_model_row(model, served) for model in row.served_models],
    )


def _model_row(model: dict[str, Any], served: str) -> ModelRow:
    return ModelRow(
        name=model["name"],
        size_bytes=model.get("size_bytes"),
        parameter_size=model.get("parameter_size") or "",
        quantization=model.get("quantization") or "",
        family=model.get("family") or "",
        loaded=bool(model.get("loaded")),
        size_vram_bytes=model.get("size_vram_bytes"),
        expires_at=_moment(model.get("expires_at")),
        active=model["name"] == served,
    )


def _moment(text: str | None) -> datetime | None:
    """When the server unloads it; None for never (Ollama says centuries away)."""
    try:
        moment = parse_datetime(text or "")
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None or moment.year > 2200:
        return None
    return moment
