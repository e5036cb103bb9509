"""What an activation would do, for a person to read before deciding.

`activation_preview` is what the dialog shows, `plan_for` its list of steps as the API
answers it. Nothing is written and no server is asked for more than its list.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from models_app.choices import OperationStatus, OperationType
from models_app.models import Operation
from runtime_app.models import Activation, Runtime
from runtime_app.services import relief as relief_rules
from runtime_app.services.activation_steps import step_names
from runtime_app.services.activation_way import way_to
from runtime_app.services.activation_words import (
    Situation,
    changes,
    effects,
    if_it_fails,
    running,
    title_of,
)
from runtime_app.services.active import active_on
from runtime_app.services.former_activation import is_to_leave
from runtime_app.services.launch_diff import Change
from runtime_app.services.relief import ASK, Idle, room_for
from runtime_app.services.when import NOW
from venom_site.lib.errors import VenomError

Plan = list[dict[str, Any]]
LAST_SWITCHES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """`seconds` is the median of the last switches of that runtime; None: unknown."""

    name: str
    title: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationPreview:
    """What the dialog shows. `blocked` is the refusal that asking would get, with its
    `blocked_code`; then there are no steps. `relief` are the idle models that would
    have to leave, `running` the requests that would be waited for or ended,
    `switches` how many earlier ones `expected_seconds` was learnt from."""

    runtime: str
    model: str
    when: str
    now_model: str = ""
    now_runtime: str = ""
    after_runtime: str = ""
    changes: tuple[Change, ...] = ()
    steps: tuple[PlannedStep, ...] = ()
    expected_seconds: float | None = None
    switches: int = 0
    running: int = 0
    if_it_fails: str = ""
    effects: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    relief: tuple[Idle, ...] = ()
    blocked: str = ""
    blocked_code: str = ""


def activation_preview(
    runtime: Runtime, model: str, *, when: str = NOW, relief: str = ASK
) -> ActivationPreview:
    """The plan, the diff and what may follow, as far as it is known now; never raises
    what asking would be refused with: that is `blocked`."""
    former = active_on(runtime.node_id)
    told: dict[str, Any] = {
        "runtime": runtime.name,
        "model": model,
        "when": when,
        "now_model": former.model_name if former else "",
        "now_runtime": former.runtime.display_name if former else "",
        "after_runtime": runtime.display_name,
        "if_it_fails": if_it_fails(former),
    }
    try:
        at = _situation(runtime, model, former, when)
    except VenomError as error:
        return ActivationPreview(**told, blocked=str(error), blocked_code=error.code)
    told |= _planned(at) | _told_of_room(at, relief)
    return ActivationPreview(**told)


def plan_for(
    runtime: Runtime, model: str, *, when: str = NOW, revision: str = ""
) -> Plan:
    """The steps in order with what is known now, as docs/api.md shows them; those of
    the operation. Empty where no way leads there."""
    try:
        at = _situation(runtime, model, active_on(runtime.node_id), when, revision)
    except VenomError:
        return []
    return [
        {"step": step.name, "title": step.title, "seconds": step.seconds}
        for step in _steps(at)
    ]


def last_durations(runtime: Runtime) -> tuple[dict[str, float], int]:
    """The median seconds of each step over the last switches to this runtime, and how
    many those were."""
    rows = Operation.objects.filter(
        operation_type=OperationType.ACTIVATE,
        status=OperationStatus.COMPLETED,
        node_id=runtime.node_id,
        runtime=runtime.name,
    ).order_by("-completed_at")
    taken = [row.get("steps") or {} for row in _checkpoints(rows[:LAST_SWITCHES])]
    names = {name for steps in taken for name in steps}
    medians = {
        name: round(median(steps[name] for steps in taken if name in steps), 1)
        for name in names
    }
    return medians, len(taken)


def _checkpoints(rows: Iterable[Operation]) -> list[dict[str, Any]]:
    return [row.checkpoint for row in rows]


def _situation(
    runtime: Runtime,
    model: str,
    former: Activation | None,
    when: str,
    revision: str = "",
) -> Situation:
    way = way_to(runtime, model, revision)
    leaves = former is not None and is_to_leave(former, runtime, way)
    room = room_for(runtime, way, former, leaves=leaves)
    return Situation(
        runtime=runtime,
        way=way,
        former=former,
        room=room,
        when=when,
        durations=last_durations(runtime)[0],
    )


def _planned(at: Situation) -> dict[str, Any]:
    durations, switches = last_durations(at.runtime)
    steps = _steps(at)
    known = [step.seconds for step in steps if step.seconds is not None]
    return {
        "model": at.way.name,
        "steps": steps,
        "changes": changes(at),
        "effects": effects(at),
        "running": running(at),
        "switches": switches,
        "expected_seconds": round(sum(known), 1) if durations and known else None,
    }


def _told_of_room(at: Situation, relief: str) -> dict[str, Any]:
    told: dict[str, Any] = {"relief": at.room.relief}
    if at.room.warning:
        told["warnings"] = (at.room.warning,)
    try:
        relief_rules.refuse_without_room(
            at.runtime, at.way.name, at.room, relief=relief
        )
    except VenomError as error:
        told |= {"blocked": str(error), "blocked_code": error.code}
    return told


# The steps


def _steps(at: Situation) -> tuple[PlannedStep, ...]:
    names = step_names(at.runtime, at.way, at.former, at.room, when=at.when)
    return tuple(
        PlannedStep(name=name, title=title_of(name, at), seconds=at.durations.get(name))
        for name in names
    )
