"""The steps of an operation and how far each has come. Pure, from its row."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from models_app.choices import (
    CONVERSION_STEPS,
    SELDOM_STEPS,
    STEPS,
    OperationStatus,
)

if TYPE_CHECKING:
    from models_app.models.operations import Operation


class Step(NamedTuple):
    """`state` is done, running, waiting, failed or skipped; seconds once it is done."""

    name: str
    state: str
    seconds: float | None


def steps_of(operation: Operation) -> list[Step]:
    """What this kind of work goes through, in order."""
    taken = operation.checkpoint.get("steps", {})
    return [
        Step(name, _state_of(operation, name, taken), taken.get(name))
        for name in _names(operation, taken)
    ]


def _names(operation: Operation, taken: dict[str, float]) -> list[str]:
    """Those of the plan where there is one; what happens seldom once it happens."""
    if operation.is_conversion:
        return list(CONVERSION_STEPS)
    planned = operation.checkpoint.get("plan")
    return [
        name
        for name in STEPS.get(operation.operation_type, ())
        if name in taken
        or (
            name in planned
            if planned
            else name not in SELDOM_STEPS or name == operation.phase
        )
    ]


def _state_of(operation: Operation, name: str, taken: dict[str, float]) -> str:
    if name in taken:
        return "done"
    if operation.status == OperationStatus.COMPLETED:
        return "skipped"
    if name != operation.phase:
        return "waiting"
    return "running" if operation.is_running else "failed"
