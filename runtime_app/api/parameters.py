"""Generation parameters of a model, for programs (docs/api.md).

Its routes begin with a model's name: they are mounted after every fixed path.
"""

from __future__ import annotations

from typing import Any

from ninja import Query, Router

from models_app.choices import PROVIDER_RUNTIMES
from runtime_app.schemas import ParametersBody, ParametersQuery
from runtime_app.services import parameters
from runtime_app.services.parameters import ModelParameters
from venom_site.lib.access import Scope, require
from venom_site.lib.htmx import VenomRequest

router = Router()


@router.get("/{path:name}/config", summary="Its generation parameters")
def get_config(
    request: VenomRequest, name: str, query: Query[ParametersQuery]
) -> dict[str, Any]:
    require(request.principal, Scope.READ)
    return _payload(parameters.parameters_of(name, _runtime(query)))


@router.post("/{path:name}/config", summary="Set or reset them")
def set_config(
    request: VenomRequest,
    name: str,
    query: Query[ParametersQuery],
    body: ParametersBody,
) -> dict[str, Any]:
    """`params` replaces what was stored; an empty one resets."""
    actor = require(request.principal, Scope.OPERATE)
    runtime = body.runtime or _runtime(query)
    changed = parameters.set_parameters(name, body.params, runtime=runtime, actor=actor)
    return _payload(changed)


def _runtime(query: ParametersQuery) -> str:
    return query.runtime or PROVIDER_RUNTIMES.get(query.provider or "", "")


def _payload(found: ModelParameters) -> dict[str, Any]:
    """`current_values` is null where nobody set anything: the server decides."""
    return {
        "success": True,
        "model_name": found.model,
        "runtime": found.runtime.name,
        "generation_schema": {
            parameter.name: {
                "type": "int" if parameter.is_whole else "float",
                "default": parameter.default,
                "min": parameter.least,
                "max": parameter.most,
                "supported": found.is_sent(parameter.name),
            }
            for parameter in found.parameters
        },
        "current_values": {
            parameter.name: found.stored.get(parameter.name)
            for parameter in found.parameters
        },
    }
