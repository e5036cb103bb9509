"""The one table of names: friendly name, path and alias of what a runtime runs.

Read by the API and by the part of a runtime's page; asks no server.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from models_app.models import InstalledModel
from runtime_app.models import Activation, Runtime
from runtime_app.services.names import same_folder, same_name
from runtime_app.services.runtimes import installed_on, providers_of


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRow:
    """`name` is what people call it, `alias` what the server publishes (empty: it does
    not), `path` its folder as the registry or the server says."""

    name: str
    alias: str
    path: str
    is_registered: bool
    is_active: bool

    def payload(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "alias": self.alias or None,
            "path": self.path or None,
            "registered": self.is_registered,
            "active": self.is_active,
        }


def tables(rows: Iterable[Runtime]) -> dict[UUID, list[NameRow]]:
    """By runtime; two queries however many there are."""
    rows = list(rows)
    nodes = {row.node_id for row in rows}
    held = list(
        InstalledModel.objects.filter(node_id__in=nodes)
        .only("node_id", "provider", "name", "path")
        .order_by("name", "-installed_at")
    )
    active = dict(Activation.objects.active().values_list("runtime_id", "served_name"))
    return {row.pk: _table(row, held, active.get(row.pk, "")) for row in rows}


def table_of(runtime: Runtime) -> list[NameRow]:
    return tables([runtime])[runtime.pk]


def model_behind(runtime: Runtime, served: str) -> InstalledModel | None:
    """The registered model of a published name: by that name, else by the folder that
    the server says it loaded, which proves an alias."""
    found = installed_on(runtime, served)
    root = str((runtime.serves(served) or {}).get("root") or "")
    if found is not None or not root.startswith("/"):
        return found
    rows = InstalledModel.objects.filter(
        node_id=runtime.node_id, provider__in=providers_of(runtime)
    )
    held = rows.exclude(path="").select_related("node", "capabilities")
    return next((model for model in held if same_folder(model.path, root)), None)


def _table(runtime: Runtime, held: list[InstalledModel], active: str) -> list[NameRow]:
    """What it publishes, in its order; then what is registered for it and missing."""
    providers = providers_of(runtime)
    mine = [
        model
        for model in held
        if model.node_id == runtime.node_id and model.provider in providers
    ]
    by_name = {model.name.lower(): model for model in reversed(mine)}
    shown: set[str] = set()
    found = []
    for entry in runtime.served_models:
        alias, root = str(entry["name"]), str(entry.get("root") or "")
        model = _model_of(alias, root, by_name, mine)
        shown |= {model.name.lower()} if model else set()
        found.append(_row(alias, root, model, is_active=alias == active))
    rest = (model for name, model in by_name.items() if name not in shown)
    return found + [
        _row("", "", model, is_active=same_name(model.name, active)) for model in rest
    ]


def _model_of(
    alias: str,
    root: str,
    by_name: dict[str, InstalledModel],
    mine: list[InstalledModel],
) -> InstalledModel | None:
    """By its folder, which proves it, else by its name."""
    if root.startswith("/"):
        found = next((m for m in mine if same_folder(m.path, root)), None)
        if found is not None:
            return found
    return by_name.get(alias.lower()) or by_name.get(f"{alias}:latest".lower())


def _row(
    alias: str, root: str, model: InstalledModel | None, *, is_active: bool
) -> NameRow:
    return NameRow(
        name=model.name if model else alias,
        alias=alias,
        path=(model.path if model else "") or root,
        is_registered=model is not None,
        is_active=is_active,
    )
