"""News of the upper floor."""

from __future__ import annotations

from typing import Any

from venom_site.lib.events import Event

# A datagram between processes holds about 200 kB; a thousand long names are 64 kB.
MOST_MODELS_NAMED = 100


def runtime_changed(payload: dict[str, Any]) -> Event:
    """`payload` is the server as GET `/system/llm-servers` shows it; here its lists
    stop after the first hundred, `models_count` counts them all."""
    lists = ("models", "loaded", "memory")
    short = {name: payload[name][:MOST_MODELS_NAMED] for name in lists}
    return Event(type="runtime.changed", data=payload | short)


def usage_sampled(payload: dict[str, Any]) -> Event:
    """What a node and its servers use, in the shape of docs/api.md; sent when it moved
    visibly."""
    return Event(type="usage.sampled", data=payload)


def activation_changed(payload: dict[str, Any]) -> Event:
    """`payload` is the active runtime in the shape of docs/api.md."""
    return Event(type="activation.changed", data=payload)


def alert_changed(payload: dict[str, Any]) -> Event:
    """`payload` is the alert as GET `/alerts` shows it."""
    return Event(type="alert.changed", data=payload)


def llm_provider_error(payload: dict[str, Any]) -> Event:
    """A model's server failed; `payload` is the alert that counts it."""
    return Event(type="llm_provider_error", data=payload)


def task_changed(payload: dict[str, Any]) -> Event:
    """`payload` says how far a task is, without any of its contents."""
    return Event(type="task.changed", data=payload)
