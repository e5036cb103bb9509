"""Operations for programs: list, look, cancel, retry, pause, resume, self-test.

The stream of one operation is plain ASGI (`runtime_app/gateway/sse.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from ninja import Query, Router, Status

from models_app.models import Operation
from models_app.schemas.operations import (
    OperationAnswer,
    OperationList,
    OperationQuery,
    ProbeIn,
    Started,
    log_line_payload,
    operation_payload,
)
from models_app.services import operation_lists, operations, partials, probe
from venom_site.lib.access import Scope, require
from venom_site.lib.htmx import VenomRequest

router = Router()


@router.get("", response=OperationList, summary="List operations, newest first")
def list_operations(
    request: VenomRequest, query: Query[OperationQuery]
) -> dict[str, Any]:
    require(request.principal, Scope.READ)
    page = operation_lists.list_operations(
        limit=query.limit,
        status=query.status,
        operation_type=query.type,
        cursor=query.cursor,
    )
    found = [operation_payload(operation) for operation in page.items]
    return {"operations": found, "count": len(found), "next": page.next_cursor}


@router.post("/probe", response={202: Started}, summary="Start a self-test")
def start_probe(
    request: VenomRequest, response: HttpResponse, body: ProbeIn
) -> Status[dict[str, Any]]:
    actor = require(request.principal, Scope.OPERATE)
    operation = probe.request_probe(
        body.seconds, actor=actor, fail=body.fail, not_before=body.not_before
    )
    hold(response, operation, body.wait_seconds)
    message = _("The self-test of %(n)s s has been queued.") % {"n": body.seconds}
    return Status(202, {"operation_id": str(operation.pk), "message": message})


def hold(response: HttpResponse, operation: Operation, seconds: float) -> None:
    """Ask `runtime_app.gateway.waiting` to keep this answer until the end."""
    if seconds > 0:
        response["X-Venom-Wait"] = f"{operation.pk};{seconds:g}"


@router.get("/{operation_id}", response=OperationAnswer, summary="Look at one")
def get_operation(request: VenomRequest, operation_id: str) -> dict[str, Any]:
    require(request.principal, Scope.READ)
    return _answer(operations.get_operation(operation_id))


def _answer(operation: Operation) -> dict[str, Any]:
    lines = operation_lists.log_of(operation)
    return {
        "operation": operation_payload(operation),
        "log": [log_line_payload(line) for line in lines],
    }


def _change(
    request: VenomRequest, operation_id: str, service: Callable[..., Operation]
) -> dict[str, Any]:
    actor = require(request.principal, Scope.OPERATE)
    operation = service(operations.get_operation(operation_id), actor=actor)
    return _answer(operations.get_operation(operation.pk))


@router.post("/{operation_id}/cancel", response=OperationAnswer, summary="Cancel")
def cancel(request: VenomRequest, operation_id: str) -> dict[str, Any]:
    return _change(request, operation_id, operations.cancel_operation)


@router.post("/{operation_id}/retry", response=OperationAnswer, summary="Retry")
def retry(request: VenomRequest, operation_id: str) -> dict[str, Any]:
    return _change(request, operation_id, operations.retry_operation)


@router.post("/{operation_id}/pause", response=OperationAnswer, summary="Pause")
def pause(request: VenomRequest, operation_id: str) -> dict[str, Any]:
    return _change(request, operation_id, operations.pause_operation)


@router.post("/{operation_id}/resume", response=OperationAnswer, summary="Resume")
def resume(request: VenomRequest, operation_id: str) -> dict[str, Any]:
    return _change(request, operation_id, operations.resume_operation)


@router.post("/{operation_id}/discard", response=OperationAnswer, summary="Discard")
def discard(request: VenomRequest, operation_id: str) -> dict[str, Any]:
    return _change(request, operation_id, partials.discard_install)
