"""The acceptance run of a model, for programs (docs/api.md).

Its routes begin with a model's name: they are mounted after every fixed path.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from ninja import Query, Router, Status

from models_app.choices import PROVIDER_RUNTIMES
from runtime_app.schemas import ParametersQuery, TrialBody
from runtime_app.services import parameters, trials
from runtime_app.services.trial_shapes import trial_payload
from venom_site.lib.access import Scope, require
from venom_site.lib.htmx import VenomRequest

router = Router()


@router.get("/{path:name}/trial", summary="What it did when it was last tried")
def get_trial(
    request: VenomRequest, name: str, query: Query[ParametersQuery]
) -> dict[str, Any]:
    """`trial` is null for a model that nobody has tried there."""
    require(request.principal, Scope.READ)
    found = parameters.parameters_of(name, _runtime(query))
    trial = trials.latest_trial(found.runtime, found.model)
    return {
        "success": True,
        "model_name": found.model,
        "runtime": found.runtime.name,
        "trial": trial_payload(trial, found.runtime) if trial else None,
    }


@router.post("/{path:name}/trial", response={202: dict[str, Any]}, summary="Try it out")
def try_model(
    request: VenomRequest,
    name: str,
    query: Query[ParametersQuery],
    response: HttpResponse,
    body: TrialBody | None = None,
) -> Status[dict[str, Any]]:
    """First token, speed, system role, JSON mode, tool call; gives way to a switch."""
    actor = require(request.principal, Scope.OPERATE)
    wanted = body or TrialBody()
    runtime = wanted.runtime or _runtime(query)
    operation = trials.request_trial(name, runtime=runtime, actor=actor)
    if wanted.wait_seconds:
        response["X-Venom-Wait"] = f"{operation.pk};{wanted.wait_seconds:g}"
    return Status(
        202,
        {
            "success": True,
            "operation_id": str(operation.pk),
            "message": operation.title,
        },
    )


def _runtime(query: ParametersQuery) -> str:
    return query.runtime or PROVIDER_RUNTIMES.get(query.provider or "", "")
