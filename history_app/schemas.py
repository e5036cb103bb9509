"""The shapes in which requests leave: one for the API, the events and the pages.

Column names are ours, field names are the contract's (§5.3); they meet here only.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from history_app.trace import Hop, Step
from venom_site.lib.units import iso


def request_payload(record: RequestRecord, *, may_view_payload: bool) -> dict[str, Any]:
    """The fields of docs/api.md; `prompt` is null for who may not see contents."""
    payload: dict[str, Any] = {
        "request_id": record.request_id,
        "prompt": (record.prompt_preview or None) if may_view_payload else None,
        "status": record.status,
        "session_id": record.session_id or None,
        "created_at": iso(record.created_at),
        "finished_at": iso(record.finished_at),
        "duration_seconds": record.duration_seconds,
        "llm_provider": record.llm_provider or None,
        "llm_model": record.llm_model or None,
        "llm_endpoint": record.llm_endpoint or None,
        "requested_model": record.requested_model or None,
        "runtime": record.runtime or None,
        "ttft_ms": record.ttft_ms,
        "prompt_tokens": record.input_tokens,
        "completion_tokens": record.output_tokens,
        "usage_estimated": record.usage_estimated,
        "cost_usd": None if record.cost_usd is None else float(record.cost_usd),
        "attempts": record.attempts,
        "fallback": record.fallback,
        "partial": record.partial,
        "error_code": record.error_code or None,
        "error_class": record.error_class or None,
        "error_message": record.error_message or None,
        "error_retryable": record.error_retryable,
    }
    if not may_view_payload:
        payload["content_hidden"] = True
    return payload


def request_detail(record: RequestRecord, *, may_view_payload: bool) -> dict[str, Any]:
    """The row plus its answer, times, steps, hops, parameters and routing decision."""
    return {
        **request_payload(record, may_view_payload=may_view_payload),
        "answer": (record.answer_preview or None) if may_view_payload else None,
        "id": str(record.pk),
        "path": record.path,
        "stream": record.stream,
        "node": record.node or None,
        "key": record.key_name or None,
        "http_status": record.http_status,
        "cached_prompt_tokens": record.cached_input_tokens,
        "reasoning_tokens": record.reasoning_tokens,
        "queue_ms": _milliseconds(record.queue_seconds),
        "generation_ms": _milliseconds(generation_seconds(record)),
        "overhead_ms": _milliseconds(record.overhead_seconds),
        "parameters": record.parameters,
        "routing": {
            "requested_model": record.requested_model or None,
            "provider": record.llm_provider or None,
            "model": record.llm_model or None,
            "endpoint": record.llm_endpoint or None,
            "reason_code": record.reason_code or None,
            "candidates": record.trace.get("candidates", []),
        },
        "steps": steps_of(record),
        "hops": hops_of(record),
        "notes": record.trace.get("notes", []),
    }


def generation_seconds(record: RequestRecord) -> float | None:
    """From the first token to the end; None where either is not known."""
    if record.duration_seconds is None or record.ttft_seconds is None:
        return None
    return max(0.0, record.duration_seconds - record.ttft_seconds)


def steps_of(record: RequestRecord) -> list[dict[str, Any]]:
    """What happened in order: as it was recorded, else as far as the row's own times
    tell."""
    recorded: list[Step] = record.trace.get("steps", [])
    if recorded:
        return [{**step, "details": step.get("details") or None} for step in recorded]
    steps = [_step("gateway", "received", record.created_at, "ok", record.path)]
    if record.llm_provider:
        waited = timedelta(seconds=record.overhead_seconds or 0)
        chosen = f"{record.llm_provider} {record.llm_model}"
        moment = record.created_at + waited
        steps.append(_step("routing", "chosen", moment, "ok", chosen))
    if record.ttft_seconds is not None:
        first_at = record.created_at + timedelta(seconds=record.ttft_seconds)
        steps.append(_step("upstream", "first_token", first_at, "ok", ""))
    if record.finished_at is not None:
        steps.append(_last_step(record, record.finished_at))
    return steps


def hops_of(record: RequestRecord) -> list[dict[str, Any]]:
    """The servers that were asked, in order; a row without a trace knows the last."""
    recorded: list[Hop] = record.trace.get("hops", [])
    if recorded:
        return [_hop(hop) for hop in recorded]
    if record.trace or not record.attempts:
        return []
    return [
        {
            "provider": record.llm_provider,
            "model": record.llm_model,
            "endpoint": record.llm_endpoint,
            "status": record.status,
            "duration_ms": _milliseconds(record.duration_seconds),
            "reason_code": record.error_class or record.reason_code or None,
        }
    ]


def _hop(hop: Hop) -> dict[str, Any]:
    reason, error = hop.get("reason_code") or None, hop.get("error_code") or None
    return {**hop, "reason_code": reason, "error_code": error}


def _last_step(record: RequestRecord, finished_at: datetime) -> dict[str, Any]:
    is_good = record.status == RequestStatus.COMPLETED
    status = "ok" if is_good else "error"
    details = record.error_message or record.status
    return _step("gateway", "finished", finished_at, status, details)


def _step(
    component: str, action: str, moment: datetime, status: str, details: str
) -> dict[str, Any]:
    return {
        "component": component,
        "action": action,
        "timestamp": iso(moment),
        "status": status,
        "details": details or None,
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
