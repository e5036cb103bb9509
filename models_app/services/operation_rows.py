"""What everybody does with an operation's row: read, end, send, announce, log.

Asking is `operations.py`, carrying out `claims.py`, picking up `sweep.py`; all of
them stand on this.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from history_app import audit
from models_app.choices import TASKS, LogLevel, OperationStatus
from models_app.events import operation_changed
from models_app.models import Operation, OperationLogLine
from models_app.schemas.operations import operation_payload
from venom_site.lib.access import Principal
from venom_site.lib.errors import NotFound
from venom_site.lib.events import publish
from venom_site.lib.queue import enqueue

COMPLETED_LINE = "Completed."


def get_operation(pk: UUID | str) -> Operation:
    """The operation with its node and holder; raises `NotFound`."""
    try:
        return Operation.objects.for_display().get(pk=UUID(str(pk)))
    except (Operation.DoesNotExist, ValueError):
        raise NotFound(_("There is no operation with this id.")) from None


def finish(
    pk: UUID,
    token: UUID | None,
    status: str,
    *,
    error: str = "",
    error_code: str = "",
    reason: str = "",
) -> bool:
    """End a running operation if `token` is still its fence; wakes the next in line.
    `reason` is its error as `reasons.py` stores it, where it is one."""
    fields: dict[str, Any] = {
        "error": error,
        "error_code": error_code,
        "reason": reason,
    }
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
        OperationStatus.COMPLETED: COMPLETED_LINE,
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


def write_lines(pk: UUID, lines: list[tuple[str, str]]) -> None:
    """Several (level, line) in order."""
    for level, line in lines:
        write_log(pk, line, level)


def record(actor: Principal, verb: str, operation: Operation) -> None:
    """Its audit row, in the present transaction."""
    audit.record(
        actor,
        f"operation.{verb}",
        "operation",
        operation.pk,
        object_name=f"{operation.operation_type} {operation.model_name}".strip(),
        after={"status": operation.status, "params": operation.params},
    )
