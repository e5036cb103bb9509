"""Operations as people and programs ask for them: request, cancel, retry, pause.

Who carries them out is `claims.py`; who picks up what fell is `sweep.py`; what all
three do with a row stands in `operation_rows.py`. They change rows only by
conditional UPDATEs, so any of them may run twice or at once.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from models_app.choices import PAUSABLE, OperationStatus, PendingPhase
from models_app.models import Node, Operation
from models_app.services.nodes import this_node
from models_app.services.operation_rows import (
    announce,
    dispatch,
    finish,
    get_operation,
    record,
    wake_next,
    write_log,
)
from venom_site.clients import processes
from venom_site.lib.access import Principal
from venom_site.lib.errors import Conflict, OperationConflict
from venom_site.lib.logging import request_id

__all__ = [
    "cancel_operation",
    "get_operation",
    "pause_operation",
    "request_operation",
    "resume_operation",
    "retry_operation",
    "taken_by",
]

# How a wish is carried out, not what is wished for: who differs only here joins.
MANNER = frozenset({"activate", "size_bytes", "reserved_bytes", "asked_revision"})


def request_operation(
    operation_type: str,
    *,
    actor: Principal,
    target_key: str = "",
    lock_key: str = "",
    params: dict[str, Any] | None = None,
    not_before: datetime | None = None,
    node: Node | None = None,
    queue: str = "",
    **fields: Any,
) -> Operation:
    """Write the row and wake a worker; raises `OperationConflict` for a taken target.

    An open operation of the same type, target and parameters is joined: its row is
    returned and nothing new starts. `fields` are `model_name`, `provider`, `runtime`
    and `parent`.
    """
    node = node or this_node()
    operation = Operation(
        operation_type=operation_type,
        node=node,
        target_key=target_key,
        lock_key=lock_key,
        params=params or {},
        not_before=not_before,
        phase=_first_phase(not_before),
        queue=queue or node.queue,
        started_by=actor.name,
        request_id=request_id.get().removeprefix("-"),
        **fields,
    )
    operation.full_clean(validate_constraints=False)
    try:
        with transaction.atomic():
            operation.save(force_insert=True)
            record(actor, "request", operation)
            announce(operation)
            dispatch(operation)
    except IntegrityError:
        return _join_or_refuse(operation)
    return operation


def _join_or_refuse(wanted: Operation) -> Operation:
    holder = Operation.objects.open().filter(target_key=wanted.target_key).first()
    if holder is None:  # it ended between our INSERT and this look: ask again
        raise OperationConflict(
            _("Another operation on the same target has just ended. Try again.")
        )
    if _wish(holder) == _wish(wanted):
        return holder
    raise taken_by(holder)


def _wish(operation: Operation) -> tuple[str, str, dict[str, Any]]:
    params = {name: v for name, v in operation.params.items() if name not in MANNER}
    return operation.operation_type, operation.model_name, params


def taken_by(holder: Operation) -> OperationConflict:
    """The refusal that names what holds the target."""
    return OperationConflict(
        _("“%(title)s” is under way and holds this target.") % {"title": holder.title},
        operation_id=str(holder.pk),
    )


def cancel_operation(operation: Operation, *, actor: Principal) -> Operation:
    """End it: at once when nobody works on it, else within a heartbeat.

    Asking twice is harmless; a finished operation is 409.
    """
    ended = {"status": OperationStatus.CANCELLED, "completed_at": timezone.now()}
    with transaction.atomic():
        fresh = _change_open(
            operation.pk,
            pending=_undo_first(operation) or ended | {"cancel_requested": True},
            running={"cancel_requested": True},
        )
        if not operation.cancel_requested:
            write_log(operation.pk, f"Cancelled by {actor.name}.")
            record(actor, "cancel", operation)
        announce(fresh)
        wake_next(fresh.lock_key)
    _end_if_abandoned(fresh)
    _cancel_parts(operation, actor)
    return get_operation(operation.pk)


def _cancel_parts(operation: Operation, actor: Principal) -> None:
    """What is carried out within it, and for which it waits."""
    for part in operation.children.open():
        with suppress(Conflict):  # it has ended by itself
            cancel_operation(part, actor=actor)


def _undo_first(operation: Operation) -> dict[str, Any]:
    """What a wish to cancel writes to a row that waits for a worker to undo what it
    has done; empty where it can end at once."""
    fresh = get_operation(operation.pk)
    if not fresh.must_undo:
        return {}
    return {"checkpoint": fresh.checkpoint | {"cancelled": True}}


def _change_open(
    pk: UUID, *, pending: dict[str, Any], running: dict[str, Any]
) -> Operation:
    """Write the fields that fit the state it is in at that moment, or raise 409.

    Between the two UPDATEs a worker may claim it or give it back, so both are tried
    twice: an operation cannot change sides faster than that.
    """
    for _attempt in range(2):
        if Operation.objects.pending().filter(pk=pk).update(**pending):
            return get_operation(pk)
        if Operation.objects.running().filter(pk=pk).update(**running):
            return get_operation(pk)
    raise Conflict(
        _("This operation has already ended."),
        operation_id=str(pk),
        status_now=get_operation(pk).status,
    )


def _end_if_abandoned(operation: Operation) -> None:
    """A running row whose worker process is gone is cancelled here and now."""
    if operation.must_undo:
        return  # the sweep gives it to a worker that undoes it
    if operation.is_running and processes.is_gone(operation.worker):
        finish(operation.pk, operation.claim_token, OperationStatus.CANCELLED)


def retry_operation(operation: Operation, *, actor: Principal) -> Operation:
    """Queue a failed or cancelled operation again; it goes on where it was."""
    if not operation.can_retry:
        raise Conflict(
            _("Only a failed or cancelled operation can be retried."),
            operation_id=str(operation.pk),
            status_now=operation.status,
        )
    try:
        with transaction.atomic():
            ended = Operation.objects.filter(pk=operation.pk, status=operation.status)
            if not ended.update(
                status=OperationStatus.PENDING,
                phase=_first_phase(operation.not_before),
                error="",
                error_code="",
                reason="",
                message="",
                completed_at=None,
                cancel_requested=False,
                pause_requested=False,
                interruptions=0,
                dispatched_at=None,
            ):
                raise Conflict(_("This operation has changed meanwhile. Look again."))
            write_log(operation.pk, f"Retried by {actor.name}.")
            record(actor, "retry", operation)
            operation = get_operation(operation.pk)
            announce(operation)
            dispatch(operation)
    except IntegrityError:
        return _join_or_refuse(operation)
    return operation


def pause_operation(operation: Operation, *, actor: Principal) -> Operation:
    """Hold it and keep what it has done; only for types that can go on later."""
    if operation.operation_type not in PAUSABLE:
        raise Conflict(
            _("This kind of operation cannot be paused."),
            operation_id=str(operation.pk),
        )
    held = {"pause_requested": True}
    with transaction.atomic():
        paused = held | {"phase": PendingPhase.PAUSED}
        fresh = _change_open(operation.pk, pending=paused, running=held)
        if not operation.pause_requested:
            write_log(operation.pk, f"Paused by {actor.name}.")
            record(actor, "pause", operation)
        announce(fresh)
        wake_next(fresh.lock_key)
    return fresh


def resume_operation(operation: Operation, *, actor: Principal) -> Operation:
    """Let a paused operation go on from where it was."""
    with transaction.atomic():
        rows = Operation.objects.open().filter(pk=operation.pk, pause_requested=True)
        if not rows.update(pause_requested=False, dispatched_at=None):
            raise Conflict(
                _("This operation is not paused."), operation_id=str(operation.pk)
            )
        waiting = Operation.objects.pending().filter(pk=operation.pk)
        waiting.update(phase=_first_phase(operation.not_before))
        write_log(operation.pk, f"Resumed by {actor.name}.")
        record(actor, "resume", operation)
        operation = get_operation(operation.pk)
        announce(operation)
        dispatch(operation)
    return operation


def _first_phase(not_before: datetime | None) -> PendingPhase:
    later = not_before is not None and not_before > timezone.now()
    return PendingPhase.SCHEDULED if later else PendingPhase.QUEUED
