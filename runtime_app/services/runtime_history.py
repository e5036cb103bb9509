"""What has been done with one runtime: activations, and operations with their logs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone

from models_app.choices import PROVIDER_RUNTIMES, OperationType
from models_app.models import Operation, OperationLogLine
from models_app.querysets import OperationQuerySet
from models_app.services.operation_lists import with_holders
from runtime_app.models import Activation, Runtime

LAST_OPERATIONS = 4
LINES_SHOWN = 3
LINES_READ = 200  # of all of them together: one that talks must not hide the others
SHOWN = 50
ON_SERVERS = (
    OperationType.ACTIVATE,
    OperationType.START,
    OperationType.STOP,
    OperationType.RESTART,
    OperationType.LOAD,
    OperationType.UNLOAD,
    OperationType.ACCEPT,
)


@dataclass(frozen=True, slots=True)
class Served:
    """One activation and how long it answered, in seconds; to now while it is
    active."""

    activation: Activation
    seconds: float


def activations_of(runtime: Runtime, limit: int = SHOWN) -> list[Served]:
    """The newest first."""
    rows = Activation.objects.filter(runtime=runtime)
    return [Served(row, _seconds(row)) for row in rows[:limit]]


def _seconds(activation: Activation) -> float:
    end: datetime = activation.ended_at or timezone.now()
    return max(0.0, (end - activation.activated_at).total_seconds())


def operations_on(runtime: Runtime, limit: int = SHOWN) -> list[Operation]:
    """What started, stopped, switched, loaded and unloaded, the newest first."""
    rows = _of_runtime(runtime).filter(operation_type__in=ON_SERVERS)
    return with_holders(list(rows.for_display().newest_first()[:limit]))


def _of_runtime(runtime: Runtime, **or_these: Any) -> OperationQuerySet:
    mine = Q(runtime=runtime.name)
    if or_these:
        mine |= Q(**or_these)
    return Operation.objects.filter(mine, node_id=runtime.node_id)


def with_lines(runtime: Runtime) -> list[Operation]:
    """The last few operations that touch it or its models, each with `newest_lines`
    of its log; two queries."""
    providers = [p for p, kind in PROVIDER_RUNTIMES.items() if kind == runtime.kind]
    rows = _of_runtime(runtime, provider__in=providers)
    found = with_holders(list(rows.for_display().newest_first()[:LAST_OPERATIONS]))
    lines: dict[Any, list[OperationLogLine]] = {row.pk: [] for row in found}
    newest = OperationLogLine.objects.filter(operation__in=found).order_by("-id")
    for line in newest[:LINES_READ]:
        held = lines[line.operation_id]
        if len(held) < LINES_SHOWN:
            held.insert(0, line)
    for row in found:
        row.newest_lines = lines[row.pk]  # type: ignore[attr-defined]
    return found
