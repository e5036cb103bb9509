"""Figures of memory as a row keeps them, and back."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import Any

from models_app.models import InstalledModel
from models_app.providers.figures import ModelFigures

_NAMES = frozenset(field.name for field in fields(ModelFigures))


def stored(figures: ModelFigures) -> dict[str, Any]:
    """As JSON; without what nobody told."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(figures).items()
        if value or name == "weights_bytes"
    }


def figures_of(model: InstalledModel) -> ModelFigures | None:
    """What the row keeps, with the size of its files where the figures have none; None
    where it keeps nothing that this release can read."""
    held = model.figures
    if not isinstance(held, dict) or not held:
        return None
    known: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in held.items()
        if name in _NAMES
    }
    try:
        figures = ModelFigures(**({"weights_bytes": 0} | known))
    except TypeError:
        return None
    if figures.weights_bytes or not model.size_bytes:
        return figures
    return replace(figures, weights_bytes=model.size_bytes)


def measured_of(model: InstalledModel) -> tuple[int, int] | None:
    """(bytes, context) as a runtime was seen to take here."""
    if not model.measured_bytes or not model.measured_context:
        return None
    return model.measured_bytes, model.measured_context
