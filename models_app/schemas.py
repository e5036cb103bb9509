"""The shapes in which operations leave: one for API, events and streams."""

from __future__ import annotations

from typing import Any

from models_app.models import Operation, OperationLogLine
from venom_site.lib.units import iso


def operation_payload(operation: Operation) -> dict[str, Any]:
    """The fields of CONTRACT §7; bytes, bytes per second, percent, UTC times."""
    waiting_for = operation.waiting_for_id
    return {
        "operation_id": str(operation.pk),
        "operation_type": operation.operation_type,
        "model_name": operation.model_name or None,
        "provider": operation.provider or None,
        "runtime": operation.runtime or None,
        "node": operation.node.name,
        "status": operation.status,
        "phase": operation.phase,
        "progress": round(operation.progress, 1),
        "bytes_done": operation.bytes_done,
        "bytes_total": operation.bytes_total,
        "speed_bps": operation.speed_bps,
        "eta_seconds": operation.eta_seconds,
        "message": operation.message or None,
        "error": operation.error or None,
        "error_code": operation.error_code or None,
        "attempts": operation.attempts,
        "started_by": operation.started_by or None,
        "parent_id": str(operation.parent_id) if operation.parent_id else None,
        "waiting_for": str(waiting_for) if waiting_for else None,
        "not_before": iso(operation.not_before),
        "created_at": iso(operation.created_at),
        "started_at": iso(operation.started_at),
        "completed_at": iso(operation.completed_at),
    }


def log_line_payload(line: OperationLogLine) -> dict[str, Any]:
    return {"at": iso(line.at), "level": line.level, "line": line.line}
