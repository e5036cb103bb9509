"""GET `/models`: what is installed here and what added servers were seen to serve.

Composition of two floors: the registry's rows, the runtimes' last lists, and which of
them answers now.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from ninja import Router

from models_app.choices import ModelStatus
from models_app.schemas.models import model_payload
from models_app.services import model_lists
from models_app.services.machine import read_memory
from models_app.services.model_fit import fit_told
from runtime_app.choices import RuntimeKind
from runtime_app.models import Activation, Runtime
from runtime_app.schemas import served_payload
from runtime_app.services import active
from venom_site.lib.access import Scope, require
from venom_site.lib.htmx import VenomRequest

router = Router()


@router.get("", summary="Models on this installation")
def list_models(request: VenomRequest) -> dict[str, Any]:
    """By provider and by runtime too, never mixed."""
    require(request.principal, Scope.READ)
    activation = active.active_activation()
    models = [*_installed(activation), *_served(activation)]
    return {
        "success": True,
        "models": models,
        "count": len(models),
        "active": active.active_payload(),
        "providers": _grouped(models, "provider"),
        "runtimes": _grouped(models, "runtime"),
    }


def _installed(activation: Activation | None) -> list[dict[str, Any]]:
    """The registry's rows. The one that answers is known by its name too: it may have
    been activated before it had a row."""
    machine = read_memory()
    models = [
        model_payload(row) | {"fit": fit_told(row.model, machine)}
        for row in model_lists.all_rows()
    ]
    if activation is None:
        return models
    held = (activation.runtime.name, activation.served_name)
    for model in models:
        if (model["runtime"], model["name"]) == held:
            model["active"] = True
            if _is_misnamed(activation) and model["status"] == ModelStatus.INSTALLED:
                model["status"] = ModelStatus.ALIAS_MISMATCH.value
    return models


def _is_misnamed(activation: Activation) -> bool:
    """Whether its server lists models, but none of the name it should answer to."""
    runtime = activation.runtime
    return bool(runtime.served_models) and not runtime.serves(activation.served_name)


def _served(activation: Activation | None) -> list[dict[str, Any]]:
    """What servers list whose models are not ours to install."""
    held = (activation.runtime_id, activation.served_name) if activation else None
    rows = Runtime.objects.of_profile().exclude(kind=RuntimeKind.OLLAMA).in_order()
    return [
        served_payload(row, model, is_active=(row.pk, model["name"]) == held)
        for row in rows
        for model in row.served_models
    ]


def _grouped(models: list[dict[str, Any]], field: str) -> dict[str, Any]:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for model in models:
        groups[model[field]].append(model)
    return groups
