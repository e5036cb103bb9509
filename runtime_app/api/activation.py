"""JSON calls about served models and activation (docs/api.md)."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status

from models_app.models import Operation
from runtime_app.models import Runtime
from runtime_app.schemas import ActivateBody, SwitchBody, model_payload
from runtime_app.services import activate, active, runtimes
from venom_site.lib.access import Scope, require

router = Router()


def accepted(
    operation: Operation, response: HttpResponse, wait_seconds: float
) -> dict[str, Any]:
    """The body of a 202; the header asks the ASGI wrapper to hold the answer."""
    if wait_seconds:
        response["X-Venom-Wait"] = f"{operation.pk};{wait_seconds:g}"
    runtime = runtimes.get_runtime(operation.runtime)
    return {
        "success": True,
        "operation_id": str(operation.pk),
        "message": operation.title,
        "plan": activate.plan_for(runtime, operation.model_name),
    }


@router.get("", summary="Models on this installation")
def list_models(request: HttpRequest) -> dict[str, Any]:
    """What the runtimes list; by provider and by runtime, never mixed."""
    require(request.principal, Scope.READ)  # type: ignore[attr-defined]
    models = _models()
    return {
        "success": True,
        "models": models,
        "count": len(models),
        "active": active.active_payload(),
        "providers": _grouped(models, "provider"),
        "runtimes": _grouped(models, "runtime"),
    }


def _models() -> list[dict[str, Any]]:
    activation = active.active_activation()
    held = (activation.runtime_id, activation.served_name) if activation else None
    return [
        model_payload(row, model, is_active=(row.pk, model["name"]) == held)
        for row in Runtime.objects.of_profile().in_order()
        for model in row.served_models
    ]


def _grouped(models: list[dict[str, Any]], field: str) -> dict[str, Any]:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for model in models:
        groups[model[field]].append(model)
    return groups


@router.post("/activate", response={202: dict[str, Any]}, summary="Make a model active")
def activate_model(
    request: HttpRequest, body: ActivateBody, response: HttpResponse
) -> Status[dict[str, Any]]:
    """Checks, loads, confirms with one real token, then commits; else nothing
    changes. `when` takes only `now` for the time being."""
    actor = require(request.principal, Scope.OPERATE)  # type: ignore[attr-defined]
    operation = activate.request_activation(
        body.runtime, body.wanted, actor=actor, when=body.when
    )
    return Status(202, accepted(operation, response, body.wait_seconds))


@router.post(
    "/switch",
    response={202: dict[str, Any]},
    summary="Another model on the active runtime",
)
def switch_model(
    request: HttpRequest, body: SwitchBody, response: HttpResponse
) -> Status[dict[str, Any]]:
    actor = require(request.principal, Scope.OPERATE)  # type: ignore[attr-defined]
    operation = activate.request_switch(body.wanted, actor=actor)
    return Status(202, accepted(operation, response, body.wait_seconds))
