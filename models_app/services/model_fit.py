"""How installed models fit this machine: rows and hardware brought to `fit.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from models_app.models import InstalledModel
from models_app.services.figures import figures_of, measured_of
from models_app.services.fit import (
    ContextFit,
    Fit,
    Machine,
    contexts_that_fit,
    fit_payload,
    judge,
)
from models_app.services.registry import installed_here

RUNS_WELL = frozenset({"fits", "tight"})


def fit_of(
    model: InstalledModel, machine: Machine, *, measured: bool = True
) -> Fit | None:
    """None for one that runs in a cloud. `measured` false is the bare estimate, at the
    context of the measurement where there is one."""
    if model.is_remote:
        return None
    seen = measured_of(model)
    return judge(
        figures_of(model),
        machine,
        runtime=model.runtime,
        context=seen[1] if seen and not measured else None,
        size_bytes=model.size_bytes,
        measured=seen if measured else None,
        is_here=True,
    )


def fit_told(model: InstalledModel | None, machine: Machine) -> dict[str, Any] | None:
    """As API and terminal show it; None while a model is on its way here, and for one
    that runs in a cloud."""
    fit = fit_of(model, machine) if model else None
    return fit_payload(fit) if fit else None


def contexts_of(model: InstalledModel, machine: Machine) -> list[ContextFit]:
    """Each usual length up to the model's own; [] where nobody knows."""
    if model.is_remote:
        return []
    return contexts_that_fit(
        figures_of(model),
        machine,
        runtime=model.runtime,
        size_bytes=model.size_bytes,
        measured=measured_of(model),
    )


def fitting_ids(machine: Machine) -> frozenset[UUID]:
    """This node's models that run well here; one query, however many there are."""
    rows = installed_here().only(
        "provider",
        "is_remote",
        "figures",
        "size_bytes",
        "measured_bytes",
        "measured_context",
    )
    return frozenset(_fitting(rows, machine))


def _fitting(rows: Iterable[InstalledModel], machine: Machine) -> Iterable[UUID]:
    for row in rows:
        fit = fit_of(row, machine)
        if fit is not None and fit.verdict in RUNS_WELL:
            yield row.pk
