"""Installed models for programs: versions, capabilities, removal, what they take.

Names hold slashes and colons, so routes that begin with one match anything: `named` is
mounted last, after every fixed path of every app.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from ninja import Query, Router, Status

from models_app.api.operations import hold
from models_app.models import InstalledModel, Operation
from models_app.schemas.capabilities import (
    CapabilitiesAnswer,
    CapabilitiesBody,
    capabilities_payload,
)
from models_app.schemas.models import (
    ProviderQuery,
    RemoveBody,
    RoomAnswer,
    RoomQuery,
    UsageAnswer,
    VersionQuery,
    VersionsAnswer,
    version_payload,
)
from models_app.schemas.operations import Started
from models_app.services import capabilities, registry, remove, room, usage
from models_app.services.nodes import this_node
from venom_site.lib.access import Scope, require
from venom_site.lib.htmx import VenomRequest

router = Router()
named = Router()


@router.get("/usage", response=UsageAnswer, summary="What models take of this machine")
def get_usage(request: VenomRequest) -> dict[str, Any]:
    require(request.principal, Scope.READ)
    return {"usage": usage.usage()}


@router.get("/room", response=RoomAnswer, summary="What could leave to make room")
def get_room(request: VenomRequest, query: Query[RoomQuery]) -> dict[str, Any]:
    """Models that nobody would miss soon; nothing is removed."""
    require(request.principal, Scope.READ)
    models = room.proposal_for(this_node(), query.bytes)
    freed = sum(model.size_bytes or 0 for model in models)
    return {"proposal": room.proposal_payload(models), "freed_bytes": freed}


@router.post("/remove", response={202: Started}, summary="Remove a model")
def remove_model(
    request: VenomRequest, response: HttpResponse, body: RemoveBody
) -> Status[dict[str, Any]]:
    actor = require(request.principal, Scope.OPERATE)
    model = registry.only_version(body.wanted, body.provider, body.revision or "")
    operation = remove.request_remove(model, actor=actor)
    hold(response, operation, body.wait_seconds)
    return Status(202, _started(operation))


@router.delete("/registry/{path:name}", response={202: Started}, summary="Remove it")
def delete_from_registry(
    request: VenomRequest, name: str, query: Query[VersionQuery]
) -> Status[dict[str, Any]]:
    return delete_model(request, name, query)


@named.get(
    "/{path:name}/versions", response=VersionsAnswer, summary="Installed versions"
)
def get_versions(
    request: VenomRequest, name: str, query: Query[ProviderQuery]
) -> dict[str, Any]:
    require(request.principal, Scope.READ)
    rows = registry.versions_of(registry.find_installed(name, query.provider))
    return {
        "versions": [
            version_payload(row, is_active=registry.is_active(row)) for row in rows
        ]
    }


@named.get(
    "/{path:name}/capabilities", response=CapabilitiesAnswer, summary="What it can do"
)
def get_capabilities(
    request: VenomRequest, name: str, query: Query[ProviderQuery]
) -> dict[str, Any]:
    require(request.principal, Scope.READ)
    return _capabilities(registry.find_installed(name, query.provider))


@named.put(
    "/{path:name}/capabilities", response=CapabilitiesAnswer, summary="Set by hand"
)
def put_capabilities(
    request: VenomRequest,
    name: str,
    query: Query[ProviderQuery],
    body: CapabilitiesBody,
) -> dict[str, Any]:
    """What is given changes, the rest stays; `source` becomes `manual`."""
    actor = require(request.principal, Scope.OPERATE)
    model = registry.find_installed(name, query.provider)
    return _capabilities(capabilities.set_capabilities(model, body, actor=actor))


@named.delete(
    "/{path:name}/capabilities",
    response=CapabilitiesAnswer,
    summary="Back to what is declared",
)
def delete_capabilities(
    request: VenomRequest, name: str, query: Query[ProviderQuery]
) -> dict[str, Any]:
    """What was set by hand is forgotten; the next look describes the model anew."""
    actor = require(request.principal, Scope.OPERATE)
    model = registry.find_installed(name, query.provider)
    return _capabilities(capabilities.reset_capabilities(model, actor=actor))


@named.delete("/{path:name}", response={202: Started}, summary="Remove a model")
def delete_model(
    request: VenomRequest, name: str, query: Query[VersionQuery]
) -> Status[dict[str, Any]]:
    actor = require(request.principal, Scope.OPERATE)
    model = registry.only_version(name, query.provider, query.revision)
    return Status(202, _started(remove.request_remove(model, actor=actor)))


def _started(operation: Operation) -> dict[str, Any]:
    message = _("“%(title)s” has been queued.") % {"title": operation.title}
    return {"operation_id": str(operation.pk), "message": message}


def _capabilities(model: InstalledModel) -> dict[str, Any]:
    known = capabilities.capabilities_of(model)
    return {
        "model_name": model.name,
        "capabilities": capabilities_payload(model, known),
    }
