"""What is active now: as payload (docs/api.md) and as the chip of every page."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import reverse

from runtime_app.models import Activation, Runtime

SERVICE_TYPE = "local"


def active_activation() -> Activation | None:
    """The default of the installation, if the profile shows its runtime."""
    shown = Runtime.objects.of_profile()
    return Activation.objects.default().filter(runtime__in=shown).first()


def active_payload() -> dict[str, Any]:
    """The fields of docs/api.md; with nothing active they are null, never absent."""
    activation = active_activation()
    known = _fields(activation) if activation else dict.fromkeys(_NAMES)
    return known | remembered_models()


_NAMES = (
    "provider",
    "model",
    "endpoint",
    "endpoint_host",
    "endpoint_port",
    "service_type",
    "mode",
    "label",
    "config_hash",
    "runtime_id",
    "status",
    "error",
    "served_name",
    "expected_name",
    "alias_ok",
    "node",
)


def _fields(activation: Activation) -> dict[str, Any]:
    runtime = activation.runtime
    provider, endpoint = runtime.provider, runtime.base_url
    listed = runtime.serves(activation.served_name)
    model = activation.model_name
    return {
        "provider": provider,
        "model": model,
        "endpoint": endpoint,
        "endpoint_host": runtime.host,
        "endpoint_port": runtime.port,
        "service_type": SERVICE_TYPE,
        "mode": settings.ENV.AI_MODE,
        "label": f"{model} · {runtime.display_name} @ {runtime.port}",
        "config_hash": config_hash(provider, endpoint, model),
        "runtime_id": f"{provider}@{endpoint}",
        "status": runtime.status,
        "error": runtime.error_message or None,
        "served_name": listed["name"] if listed else None,
        "expected_name": activation.served_name,
        "alias_ok": listed is not None,
        "node": runtime.node.name,
    }


def config_hash(provider: str, endpoint: str, model: str) -> str:
    """First 12 hex digits of SHA-256 of the lower-cased `provider|endpoint|model`."""
    text = f"{provider}|{endpoint}|{model}".lower()
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def remembered_models() -> dict[str, dict[str, str]]:
    """The last active model of each runtime and the one before it."""
    rows = Runtime.objects.of_profile().exclude(last_model="").in_order()
    return {
        "last_models": {row.name: row.last_model for row in rows},
        "previous_models": {
            row.name: row.previous_model for row in rows if row.previous_model
        },
    }


def active_answer() -> dict[str, Any]:
    """The body of GET `/system/llm-servers/active`, without `success`."""
    payload = active_payload()
    activation = active_activation()
    return {
        "active_server": activation.runtime.name if activation else None,
        "active_model": payload["model"],
        "active_endpoint": payload["endpoint"],
        "config_hash": payload["config_hash"],
        "runtime_id": payload["runtime_id"],
        "last_models": payload["last_models"],
        "runtime": payload,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """Which server and model answers now, in the top bar."""

    state: str
    model: str = ""
    runtime: str = ""
    endpoint: str = ""
    port: int | None = None
    latency_ms: float | None = None
    checked_at: datetime | None = None
    url: str = ""


def chip() -> Chip:
    activation = active_activation()
    if activation is None:
        return Chip(state="none", url=reverse("runtime-list"))
    runtime = activation.runtime
    return Chip(
        state=runtime.status,
        model=activation.model_name,
        runtime=runtime.display_name,
        endpoint=runtime.base_url,
        port=runtime.port,
        latency_ms=runtime.latency_ms,
        checked_at=runtime.last_check_at,
        url=reverse("runtime-active"),
    )
