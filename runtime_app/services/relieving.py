"""Making room in memory, in the node's worker: idle models leave for another one.

Each is an operation of its own with the reason in it, a part of the one that needs the
room. It is carried out here and now, or by whoever was faster; this work waits for its
end either way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from models_app.choices import LogLevel, OperationStatus, OperationType
from models_app.models import Operation
from models_app.services import claims, targets
from models_app.services.operations import get_operation, request_operation
from models_app.services.work import Work
from runtime_app.choices import CAN_UNLOAD
from runtime_app.services.relief import Idle, is_idle
from runtime_app.services.runtimes import place
from runtime_app.services.server_operations import perform_stop
from runtime_app.services.server_work import StopFailed
from runtime_app.services.unloading import perform_unload
from venom_site.lib.access import SYSTEM
from venom_site.lib.errors import OperationConflict

LOOK_SECONDS = 0.1
_PERFORM = {OperationType.UNLOAD: perform_unload, OperationType.STOP: perform_stop}


def give_room(work: Work, idle: Sequence[Idle], *, to: str) -> None:
    """Each leaves by an operation, unless somebody uses it by now. What does not leave
    in time is a line in the log: the load itself says what follows. Raises `StopFailed`
    where a server that was to be stopped lives on."""
    for each in idle:
        where = place(each.runtime)
        if not is_idle(each.runtime, each.name):
            work.log(f"{each.name} on {where} is used again and stays.")
            continue
        work.log(f"{each.name} leaves {where} to make room for {to}: nobody uses it.")
        try:
            part = _request(work, each, to)
        except OperationConflict as error:  # it waits for the lock that we hold
            work.log(f"{each.name} stays: {error}", LogLevel.WARNING)
            continue
        _see_through(work, part)
        each.runtime.refresh_from_db()


def _request(work: Work, idle: Idle, to: str) -> Operation:
    """Without a lock: the parent holds it all the while."""
    runtime, parent = idle.runtime, work.operation
    is_unload = runtime.kind in CAN_UNLOAD
    return request_operation(
        OperationType.UNLOAD if is_unload else OperationType.STOP,
        actor=replace(SYSTEM, name=parent.started_by or SYSTEM.name),
        node=runtime.node,
        target_key=targets.memory_target(runtime.node, runtime.name, idle.name)
        if is_unload
        else targets.server_target(runtime.node, runtime.name),
        provider=runtime.provider,
        runtime=runtime.name,
        model_name=idle.name,
        params={"runtime_id": str(runtime.pk), "makes_room_for": to},
        parent=parent,
    )


def _see_through(work: Work, part: Operation) -> None:
    while not (part := get_operation(part.pk)).is_finished:
        work.check()
        if part.status == OperationStatus.PENDING:  # else a worker was faster
            claims.carry_out(part.pk, _PERFORM[OperationType(part.operation_type)])
        work.wait(LOOK_SECONDS)
    if part.status != OperationStatus.FAILED:
        return
    if part.operation_type == OperationType.STOP:
        raise StopFailed(part.error, runtime=part.runtime)
    work.log(part.error, LogLevel.WARNING)
