"""JSON calls that start and stop servers and read their logs (docs/api.md)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Status

from models_app.models import Operation
from runtime_app.models import Runtime
from runtime_app.schemas import EndBody, LogQuery, StartBody, server_payload
from runtime_app.services import runtimes, server_lines, servers
from venom_site.lib.access import Scope, require

router = Router()


def _accepted(
    runtime: Runtime, operation: Operation, response: HttpResponse, seconds: float
) -> Status[dict[str, Any]]:
    """A 202; the header asks the ASGI wrapper to hold the answer."""
    if seconds:
        response["X-Venom-Wait"] = f"{operation.pk};{seconds:g}"
    return Status(
        202,
        {
            "success": True,
            "operation_id": str(operation.pk),
            "message": operation.title,
            "server": server_payload(runtime),
        },
    )


@router.post(
    "/llm-servers/{server}/start", response={202: dict[str, Any]}, summary="Start it"
)
def start_server(
    request: HttpRequest,
    server: str,
    response: HttpResponse,
    body: StartBody | None = None,
) -> Status[dict[str, Any]]:
    """vLLM with `model`, else with the one that it served last. 409 `not_ours` where
    somebody else runs it."""
    actor = require(request.principal, Scope.OPERATE)  # type: ignore[attr-defined]
    runtime = runtimes.get_runtime(server)
    model = (body.model or "") if body else ""
    operation = servers.request_start(runtime, actor=actor, model=model)
    return _accepted(runtime, operation, response, body.wait_seconds if body else 0)


@router.post(
    "/llm-servers/{server}/stop", response={202: dict[str, Any]}, summary="Stop it"
)
def stop_server(
    request: HttpRequest,
    server: str,
    response: HttpResponse,
    body: EndBody | None = None,
) -> Status[dict[str, Any]]:
    """Its running requests end first: after 30 s they are ended, with `when` `idle`
    they are waited for."""
    actor = require(request.principal, Scope.OPERATE)  # type: ignore[attr-defined]
    runtime = runtimes.get_runtime(server)
    body = body or EndBody()
    operation = servers.request_stop(runtime, actor=actor, when=body.when)
    return _accepted(runtime, operation, response, body.wait_seconds)


@router.post(
    "/llm-servers/{server}/restart",
    response={202: dict[str, Any]},
    summary="Stop and start it",
)
def restart_server(
    request: HttpRequest,
    server: str,
    response: HttpResponse,
    body: EndBody | None = None,
) -> Status[dict[str, Any]]:
    """With the model that it ran, and the settings as they are now."""
    actor = require(request.principal, Scope.OPERATE)  # type: ignore[attr-defined]
    runtime = runtimes.get_runtime(server)
    body = body or EndBody()
    operation = servers.request_restart(runtime, actor=actor, when=body.when)
    return _accepted(runtime, operation, response, body.wait_seconds)


@router.get("/llm-servers/{server}/logs", summary="The end of its log")
def read_log(
    request: HttpRequest, server: str, query: Query[LogQuery]
) -> dict[str, Any]:
    """Secrets masked. With `follow=1` server-sent events instead."""
    require(request.principal, Scope.READ)  # type: ignore[attr-defined]
    runtime = runtimes.get_runtime(server)
    lines = server_lines.last_lines(runtime, query.lines)
    return {
        "success": True,
        "server": runtime.name,
        "lines": lines,
        "count": len(lines),
    }
