"""News of the upper floor."""

from __future__ import annotations

from typing import Any

from venom_site.lib.events import Event


def runtime_changed(payload: dict[str, Any]) -> Event:
    """`payload` is the server as GET `/system/llm-servers` shows it."""
    return Event(type="runtime.changed", data=payload)


def activation_changed(payload: dict[str, Any]) -> Event:
    """`payload` is the active runtime in the shape of docs/api.md."""
    return Event(type="activation.changed", data=payload)
