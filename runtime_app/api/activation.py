"""JSON calls about activation (docs/api.md)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status

from models_app.models import Operation
from runtime_app.schemas import ActivateBody, SwitchBody
from runtime_app.services import activate, runtimes
from runtime_app.services.activation_plan import plan_for
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
        "plan": plan_for(
            runtime,
            operation.model_name,
            when=operation.params["when"],
            revision=operation.params.get("revision", ""),
        ),
    }


@router.post("/activate", response={202: dict[str, Any]}, summary="Make a model active")
def activate_model(
    request: HttpRequest, body: ActivateBody, response: HttpResponse
) -> Status[dict[str, Any]]:
    """Checks, starts or loads, confirms with one real token, then commits; else what
    was active answers again. `when: idle` first waits until no request runs on it."""
    actor = require(request.principal, Scope.OPERATE)  # type: ignore[attr-defined]
    operation = activate.request_activation(
        body.runtime,
        body.wanted,
        actor=actor,
        when=body.when,
        revision=body.revision or "",
        relief=body.relief,
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
    operation = activate.request_switch(
        body.wanted, actor=actor, when=body.when, relief=body.relief
    )
    return Status(202, accepted(operation, response, body.wait_seconds))
