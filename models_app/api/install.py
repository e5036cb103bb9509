"""Installing for programs, and the half downloads that are left of it."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from ninja import Router, Status

from models_app.api.operations import hold
from models_app.choices import PendingPhase
from models_app.models import Operation
from models_app.schemas.install import (
    Discarded,
    DiscardIn,
    InstallIn,
    PartialList,
)
from models_app.schemas.operations import Started
from models_app.services import install, operations, partials
from venom_site.lib.access import Scope, require
from venom_site.lib.htmx import VenomRequest
from venom_site.lib.units import size_text

router = Router()


@router.post("/install", response={202: Started}, summary="Install a model")
def install_model(
    request: VenomRequest, response: HttpResponse, body: InstallIn
) -> Status[dict[str, Any]]:
    """Quota, disk and size are checked first; who asks for the same joins."""
    return _started(request, response, body)


@router.post("/registry/install", response={202: Started}, summary="The same")
def install_from_registry(
    request: VenomRequest, response: HttpResponse, body: InstallIn
) -> Status[dict[str, Any]]:
    return _started(request, response, body)


def _started(
    request: VenomRequest, response: HttpResponse, body: InstallIn
) -> Status[dict[str, Any]]:
    actor = require(request.principal, Scope.OPERATE)
    operation = install.request_install(
        body.provider,
        body.wanted,
        actor=actor,
        runtime=body.runtime or "",
        revision=body.revision or "",
        confirm_large=body.confirm_large,
        activate=body.activate,
        not_before=body.not_before,
    )
    hold(response, operation, body.wait_seconds)
    answer = {"operation_id": str(operation.pk), "message": _message(operation)}
    return Status(202, answer)


def _message(operation: Operation) -> str:
    name = {"name": operation.model_name}
    if operation.is_running:
        return _("“%(name)s” is being installed already.") % name
    if operation.phase == PendingPhase.PAUSED:
        return _("The install of “%(name)s” is paused: resume it.") % name
    size, reserved = (
        operation.params.get(field) for field in ("size_bytes", "reserved_bytes")
    )
    if size is None:
        return _(
            "“%(name)s” will be installed. Its size is not known yet: %(size)s are "
            "reserved."
        ) % (name | {"size": size_text(reserved)})
    return _("“%(name)s” will be installed: %(size)s.") % (
        name | {"size": size_text(size)}
    )


@router.get("/partials", response=PartialList, summary="List half downloads")
def list_partials(request: VenomRequest) -> dict[str, Any]:
    require(request.principal, Scope.READ)
    return {"partials": partials.partial_payloads()}


@router.delete("/partials", response=Discarded, summary="Discard half downloads")
def discard_partials(
    request: VenomRequest,
    operation_id: str | None = None,
    body: DiscardIn | None = None,
) -> dict[str, Any]:
    """One, named in the query or the body, or all that nobody is fetching now."""
    actor = require(request.principal, Scope.OPERATE)
    wanted = operation_id or (body.operation_id if body else None)
    if wanted is None:
        discarded = partials.discard_all(actor=actor)
    else:
        operation = operations.get_operation(wanted)
        discarded = [partials.discard_install(operation, actor=actor)]
    return {"discarded": [str(row.pk) for row in discarded]}
