"""Operations as people and programs ask for them: request, cancel, retry, pause.

Who carries them out is `claims.py`; who picks up what fell is `sweep.py`. All three
change rows only by conditional UPDATEs, so any of them may run twice or at once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from history_app import audit
from models_app.choices import (
    PAUSABLE,
    TASKS,
    LogLevel,
    OperationStatus,
    PendingPhase,
)
from models_app.events import operation_changed
from models_app.models import Node, Operation, OperationLogLine
from models_app.schemas import operation_payload
from models_app.services.nodes import this_node
from venom_site.clients import processes
from venom_site.lib.access import Principal
from venom_site.lib.errors import Conflict, NotFound, OperationConflict
from venom_site.lib.events import publish
from venom_site.lib.logging import request_id
from venom_site.lib.queue import enqueue


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
            _record(actor, "request", operation)
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
    same = holder.operation_type == wanted.operation_type
    if (
        same
        and holder.params == wanted.params
        and holder.model_name == wanted.model_name
    ):
        return holder
    raise OperationConflict(
        _("“%(title)s” is under way and holds this target.") % {"title": holder.title},
        operation_id=str(holder.pk),
    )


def get_operation(pk: UUID | str) -> Operation:
    """The operation with its node and holder; raises `NotFound`."""
    try:
        return Operation.objects.for_display().get(pk=UUID(str(pk)))
    except (Operation.DoesNotExist, ValueError):
        raise NotFound(_("There is no operation with this id.")) from None


def cancel_operation(operation: Operation, *, actor: Principal) -> Operation:
    """End it: at once when nobody works on it, else within a heartbeat.

    Asking twice is harmless; a finished operation is 409.
    """
    ended = {"status": OperationStatus.CANCELLED, "completed_at": timezone.now()}
    with transaction.atomic():
        fresh = _change_open(
            operation.pk,
            pending=ended | {"cancel_requested": True},
            running={"cancel_requested": True},
        )
        if not operation.cancel_requested:
            write_log(operation.pk, f"Cancelled by {actor.name}.")
            _record(actor, "cancel", operation)
        announce(fresh)
        wake_next(fresh.lock_key)
    _end_if_abandoned(fresh)
    return get_operation(operation.pk)


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
                message="",
                completed_at=None,
                cancel_requested=False,
                pause_requested=False,
                interruptions=0,
                dispatched_at=None,
            ):
                raise Conflict(_("This operation has changed meanwhile. Look again."))
            write_log(operation.pk, f"Retried by {actor.name}.")
            _record(actor, "retry", operation)
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
            _record(actor, "pause", operation)
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
        _record(actor, "resume", operation)
        operation = get_operation(operation.pk)
        announce(operation)
        dispatch(operation)
    return operation


def discard_operation(operation: Operation, *, actor: Principal) -> Operation:
    """Drop the bytes of a download. No type of this version downloads: always 409."""
    raise Conflict(
        _("Only a download can be discarded."),
        operation_id=str(operation.pk),
        operation_type=operation.operation_type,
    )


def _first_phase(not_before: datetime | None) -> PendingPhase:
    later = not_before is not None and not_before > timezone.now()
    return PendingPhase.SCHEDULED if later else PendingPhase.QUEUED


def finish(
    pk: UUID, token: UUID | None, status: str, *, error: str = "", error_code: str = ""
) -> bool:
    """End a running operation if `token` is still its fence; wakes the next in line."""
    fields: dict[str, Any] = {"error": error, "error_code": error_code}
    if status == OperationStatus.COMPLETED:
        fields |= {"progress": 100, "phase": "done"}
    with transaction.atomic():
        ended = Operation.objects.claimed_by(pk, token).update(
            status=status, completed_at=timezone.now(), claim_token=None, **fields
        )
        if not ended:
            return False
        _write_ending(pk, status, error)
        operation = get_operation(pk)
        announce(operation)
        wake_next(operation.lock_key)
    return True


def _write_ending(pk: UUID, status: str, error: str) -> None:
    words = {
        OperationStatus.COMPLETED: "Completed.",
        OperationStatus.CANCELLED: "Stopped after the wish to cancel.",
    }
    line = words.get(OperationStatus(status), error or "Failed.")
    level = LogLevel.ERROR if status == OperationStatus.FAILED else LogLevel.INFO
    write_log(pk, line, level)


def wake_next(lock_key: str) -> None:
    """Send the first operation that waits for this lock."""
    if not lock_key:
        return
    waiting = Operation.objects.startable().filter(lock_key=lock_key)
    following = waiting.order_by("created_at", "id").first()
    if following is not None:
        dispatch(following)


def dispatch(operation: Operation) -> None:
    """Wake a worker; losing this message is harmless, the sweep sends another."""
    if operation.not_before and operation.not_before > timezone.now():
        return
    waiting = Operation.objects.pending().filter(pk=operation.pk)
    if not waiting.update(dispatched_at=timezone.now()):
        return
    enqueue(TASKS[operation.operation_type], operation.pk, queue=operation.queue)


def announce(operation: Operation) -> None:
    """Tell pages and sockets, once the present transaction is committed."""
    publish(operation_changed(operation_payload(operation)))


def write_log(pk: UUID, line: str, level: str = LogLevel.INFO) -> OperationLogLine:
    """Add a line, in English: what is stored depends on nobody's language."""
    return OperationLogLine.objects.create(
        operation_id=pk, level=level, line=line[:4000]
    )


def _record(actor: Principal, verb: str, operation: Operation) -> None:
    audit.record(
        actor,
        f"operation.{verb}",
        "operation",
        operation.pk,
        object_name=f"{operation.operation_type} {operation.model_name}".strip(),
        after={"status": operation.status, "params": operation.params},
    )
