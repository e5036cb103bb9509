"""The body of an answer that was held with `wait_seconds` until its work ended."""

from __future__ import annotations

from typing import Any

from models_app.choices import OperationStatus, OperationType
from models_app.models import Operation
from models_app.schemas.operations import operation_payload
from runtime_app.services.active import active_answer, active_payload

ACTIVE_SERVER = "active_server"


def finished_body(body: dict[str, Any], operation: Operation) -> dict[str, Any]:
    """The first body plus `operation`, and for an activation what is active now.

    A first body that carries `active_server` asked for the GET body of
    `/system/llm-servers/active`; any other activation gets `runtime`.
    """
    answer = body | {"operation": operation_payload(operation)}
    if operation.operation_type != OperationType.ACTIVATE:
        return answer
    if ACTIVE_SERVER in body:
        return answer | active_answer()
    if operation.status == OperationStatus.COMPLETED:
        return answer | {"runtime": active_payload()}
    return answer
