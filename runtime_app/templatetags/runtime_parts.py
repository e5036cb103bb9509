"""What pages of the floor below show of runtimes, asked for in their templates.

Templates may compose where imports may not: a models page loads this library and has
the facts of all its rows with one query.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Protocol

from django import template
from django.utils import timezone

from models_app.choices import OperationStatus, OperationType
from models_app.models import InstalledModel, Operation
from runtime_app.choices import ActivationState
from runtime_app.models import Alert, Runtime
from runtime_app.services.memory_seen import MemoryState, memory_of
from runtime_app.services.names import same_name
from runtime_app.services.names_table import model_behind

register = template.Library()


A_MOMENT = timedelta(seconds=5)  # an alert is written shortly after its cause


class Traced(Protocol):
    created_at: datetime
    finished_at: datetime | None


class Named(Protocol):
    name: str


@register.simple_tag
def memory_states(rows: Iterable[Named]) -> dict[str, MemoryState]:
    """What the server of this machine holds in memory, by model name."""
    return memory_of([row.name for row in rows])


@register.simple_tag
def memory_state(name: str) -> MemoryState | None:
    """The same of one model; None where no server of this machine runs it."""
    return memory_of([name]).get(name)


@register.simple_tag
def misnamed_on(model: InstalledModel) -> Runtime | None:
    """The runtime that should publish this model and calls it otherwise."""
    rows = Runtime.objects.of_profile().filter(
        activations__state=ActivationState.ACTIVE,
        activations__installed_model=model,
        names__is_mismatch=True,
    )
    return rows.first()


@register.simple_tag
def may_be_tried(operation: Operation) -> bool:
    """Whether a model has just come that its runtime publishes already."""
    came = {OperationType.INSTALL, OperationType.ACTIVATE}
    is_done = operation.status == OperationStatus.COMPLETED
    if not is_done or operation.operation_type not in came:
        return False
    rows = Runtime.objects.of_profile().filter(node_id=operation.node_id)
    row = rows.filter(name=operation.runtime).first()
    return row is not None and row.serves(operation.model_name) is not None


@register.simple_tag
def friendly_name(runtime: str, served: str) -> str:
    """What people call a model that answered under an alias; empty where the server's
    name is the friendly one, or nobody knows it any more."""
    row = Runtime.objects.of_profile().filter(name=runtime).first()
    model = model_behind(row, served) if row and served else None
    is_alias = model is not None and not same_name(model.name, served)
    return model.name if model and is_alias else ""


@register.simple_tag
def is_set_up(runtime: str) -> bool:
    """Whether the profile shows a runtime of this name."""
    return Runtime.objects.of_profile().filter(name=runtime).exists()


@register.simple_tag
def alert_about(record: Traced, hops: Iterable[dict[str, Any]]) -> Alert | None:
    """The alert that was open while a server failed this request."""
    failed = [hop for hop in hops if hop.get("error_code")]
    if not failed:
        return None
    seen = Alert.objects.filter(
        endpoint__in=[hop["endpoint"] for hop in failed],
        model__in=[hop["model"] for hop in failed],
        last_seen_at__gte=record.created_at,
    )
    ended = record.finished_at or timezone.now()
    return seen.filter(first_seen_at__lte=ended + A_MOMENT).first()


@register.filter
def memory_for(states: dict[str, MemoryState], name: str) -> MemoryState | None:
    return states.get(name)


@register.filter
def silent_since(states: dict[str, MemoryState]) -> MemoryState | None:
    """Any state of a server that does not answer; None while it does."""
    return next((s for s in states.values() if s.runtime_status == "offline"), None)
