"""JSON calls about servers and our own parts (docs/api.md)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Status

from models_app.services import nodes
from runtime_app.api.activation import accepted
from runtime_app.models import Runtime
from runtime_app.monitoring import health
from runtime_app.schemas import (
    ActiveServerBody,
    AddServerBody,
    NodeQuery,
    server_payload,
)
from runtime_app.services import (
    activate,
    active,
    alias_guard,
    names_table,
    runtimes,
    system,
)
from venom_site.lib.access import Scope, require

router = Router()


@router.get("/llm-servers", summary="The servers of the profile")
def list_servers(request: HttpRequest, query: Query[NodeQuery]) -> dict[str, Any]:
    require(request.principal, Scope.READ)  # type: ignore[attr-defined]
    found = Runtime.objects.of_profile().in_order()
    node = nodes.node_asked(query.node)
    rows = list(found.filter(node=node) if node else found)
    named = names_table.tables(rows)
    servers = [
        server_payload(row) | {"names": [each.payload() for each in named[row.pk]]}
        for row in rows
    ]
    return {"success": True, "servers": servers, "count": len(servers)}


@router.post("/llm-servers", response={201: dict[str, Any]}, summary="Add a server")
def add_server(request: HttpRequest, body: AddServerBody) -> Status[dict[str, Any]]:
    """An OpenAI-compatible server; it is looked at once before the answer."""
    actor = require(request.principal, Scope.OPERATE)  # type: ignore[attr-defined]
    row = runtimes.add_server(body.name, body.base_url, body.key, actor=actor)
    row = health.check_runtime(row)
    return Status(201, {"success": True, "server": server_payload(row)})


@router.get("/llm-servers/active", summary="What is active now")
def get_active(request: HttpRequest, query: Query[NodeQuery]) -> dict[str, Any]:
    require(request.principal, Scope.READ)  # type: ignore[attr-defined]
    return {"success": True, **active.active_answer(nodes.node_asked(query.node))}


@router.post(
    "/llm-servers/active",
    response={202: dict[str, Any]},
    summary="Make a server and model active",
)
def set_active(
    request: HttpRequest, body: ActiveServerBody, response: HttpResponse
) -> Status[dict[str, Any]]:
    """With `wait_seconds` the answer is what GET says afterwards."""
    actor = require(request.principal, Scope.OPERATE)  # type: ignore[attr-defined]
    operation = activate.request_activation(
        body.server_name,
        body.wanted,
        actor=actor,
        when=body.when,
        relief=body.relief,
    )
    answer = accepted(operation, response, body.wait_seconds)
    activation = active.active_activation()
    answer["active_server"] = activation.runtime.name if activation else None
    return Status(202, answer)


@router.post(
    "/llm-servers/{server}/repair",
    response={202: dict[str, Any]},
    summary="Put a wrong alias right",
)
def repair_names(request: HttpRequest, server: str) -> Status[dict[str, Any]]:
    """The one action that `alias.repair` names; 409 `nothing_to_repair` where there is
    none that a program could do."""
    actor = require(request.principal, Scope.OPERATE)  # type: ignore[attr-defined]
    begun = alias_guard.repair(runtimes.get_runtime(server), actor=actor)
    operation = begun.operation
    return Status(
        202,
        {
            "success": True,
            "operation_id": str(operation.pk) if operation else None,
            "message": begun.message,
        },
    )


@router.get("/services", summary="Our own parts and the runtimes")
def list_services(request: HttpRequest) -> dict[str, Any]:
    require(request.principal, Scope.READ)  # type: ignore[attr-defined]
    parts = system.services()
    return {"success": True, "services": parts, "count": len(parts)}


@router.get("/status", summary="This installation")
def get_status(request: HttpRequest) -> dict[str, Any]:
    require(request.principal, Scope.READ)  # type: ignore[attr-defined]
    return {"success": True, **system.status()}
