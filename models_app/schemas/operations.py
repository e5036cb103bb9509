"""The shapes in which operations leave and wishes arrive: one for API and events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from ninja import Schema
from pydantic import AfterValidator, BeforeValidator, Field, StrictBool

from models_app.choices import OperationStatus, OperationType
from models_app.models import Operation, OperationLogLine
from venom_site.lib.units import iso

LATEST_START = timedelta(days=366)


class OperationOut(Schema):
    """docs/api.md. Progress in percent, sizes in bytes, times in UTC."""

    operation_id: str
    operation_type: str
    model_name: str | None
    provider: str | None
    runtime: str | None
    node: str
    status: str
    phase: str
    progress: float
    bytes_done: int | None
    bytes_total: int | None
    speed_bps: float | None
    eta_seconds: float | None
    message: str | None
    error: str | None
    error_code: str | None
    attempts: int
    started_by: str | None
    parent_id: str | None
    makes_room_for: str | None
    waiting_for: str | None
    not_before: str | None
    created_at: str
    started_at: str | None
    completed_at: str | None


class OperationQuery(Schema):
    """What the list may be asked for."""

    limit: int = Field(default=10, ge=1, le=200)
    status: OperationStatus | None = None
    type: OperationType | None = None
    cursor: str | None = None


class LogLineOut(Schema):
    at: str
    level: str
    line: str


class OperationList(Schema):
    success: bool = True
    operations: list[OperationOut]
    count: int = Field(description="How many this page holds.")
    next: str | None = Field(description="The cursor of the next page.")


class OperationAnswer(Schema):
    success: bool = True
    operation: OperationOut
    log: list[LogLineOut]


class Started(Schema):
    success: bool = True
    operation_id: str
    message: str


def _is_text(value: Any) -> Any:
    if value is not None and not isinstance(value, str):
        raise ValueError("must be an ISO 8601 text such as 2026-11-21T20:00:00Z")
    return value


def _within_a_year(value: datetime) -> datetime:
    """In UTC; a time in the past means now."""
    if value.tzinfo is None:
        raise ValueError("must name its time zone, such as Z")
    now = datetime.now(UTC)
    if value > now + LATEST_START:
        raise ValueError("must be within a year from now")
    return now if value < now else value.astimezone(UTC)


StartTime = Annotated[
    datetime, BeforeValidator(_is_text), AfterValidator(_within_a_year)
]
WaitSeconds = Annotated[float, Field(strict=True, ge=0, le=300)]


class ProbeIn(Schema):
    """The self-test: works for so many seconds, and fails half-way if told to."""

    seconds: Annotated[int, Field(strict=True, ge=1, le=600)]
    fail: StrictBool = False
    not_before: StartTime | None = None
    wait_seconds: WaitSeconds = Field(
        default=0, description="Hold the answer until it ends, at most so long."
    )


def operation_payload(operation: Operation) -> dict[str, Any]:
    """The fields of `OperationOut`."""
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
        "makes_room_for": operation.makes_room_for or None,
        "waiting_for": str(waiting_for) if waiting_for else None,
        "not_before": iso(operation.not_before),
        "created_at": iso(operation.created_at),
        "started_at": iso(operation.started_at),
        "completed_at": iso(operation.completed_at),
    }


def log_line_payload(line: OperationLogLine) -> dict[str, Any]:
    return {"at": iso(line.at), "level": line.level, "line": line.line}
