"""News of the middle floor."""

from __future__ import annotations

from typing import Any

from venom_site.lib.events import Event


def operation_changed(payload: dict[str, Any]) -> Event:
    """`payload` is the operation in the shape of docs/api.md."""
    return Event(type="operation.changed", data=payload)


def model_changed(payload: dict[str, Any]) -> Event:
    """An installed model came, changed or went: `node, provider, name, status`."""
    return Event(type="model.changed", data=payload)
