"""What the snapshot knows of each model on each runtime."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from uuid import UUID

from models_app.choices import PROVIDER_RUNTIMES, ModelStatus
from models_app.models import Capabilities, InstalledModel
from runtime_app.gateway.entries import ModelEntry
from runtime_app.models import GenerationParameters, Runtime

_INSTALLED = ModelStatus.INSTALLED
Place = tuple[UUID, str]  # a runtime's id and the model's name there


def models_seen() -> tuple[datetime | None, int]:
    """When somebody last said what a model can do, and how many are installed."""
    newest = Capabilities.objects.order_by("-updated_at")
    said_at = newest.values_list("updated_at", flat=True).first()
    return said_at, InstalledModel.objects.filter(status=_INSTALLED).count()


def installed_names() -> dict[tuple[UUID, str], set[str]]:
    """By node and kind of runtime: the names of the models that lie there whole."""
    rows = InstalledModel.objects.filter(status=_INSTALLED).order_by()
    found: dict[tuple[UUID, str], set[str]] = defaultdict(set)
    for node, provider, name in rows.values_list("node_id", "provider", "name"):
        found[node, PROVIDER_RUNTIMES.get(provider, "")].add(name)
    return found


def known_models(rows: list[Runtime]) -> dict[UUID, dict[str, ModelEntry]]:
    """By runtime, then by the model's name: its capabilities and stored parameters."""
    said, stored = _capabilities(rows), _parameters()
    found: dict[UUID, dict[str, ModelEntry]] = {row.pk: {} for row in rows}
    for place in {*said, *stored}:
        runtime, name = place
        if runtime in found:
            found[runtime][name] = _entry(said.get(place), stored.get(place, {}))
    return found


def _entry(said: Capabilities | None, params: dict[str, float]) -> ModelEntry:
    if said is None:
        return ModelEntry(params=params)
    return ModelEntry(
        supports_system_role=said.supports_system_role,
        prompt_template=said.prompt_template,
        params=params,
    )


def _capabilities(rows: list[Runtime]) -> dict[Place, Capabilities]:
    """Capabilities belong to an installed model; its provider names the runtime."""
    places = {(row.node_id, row.kind): row.pk for row in rows}
    found = {}
    for said in Capabilities.objects.select_related("model"):
        kind = PROVIDER_RUNTIMES.get(said.model.provider, "")
        runtime = places.get((said.model.node_id, kind))
        if runtime is not None:
            found[(runtime, said.model.name)] = said
    return found


def _parameters() -> dict[Place, dict[str, float]]:
    rows = GenerationParameters.objects.values_list(
        "runtime_id", "model_name", "params"
    )
    return {(runtime, name): params for runtime, name, params in rows}
