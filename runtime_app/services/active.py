"""What is active now: as payload (docs/api.md) and as the chip of every page."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Subquery
from django.urls import reverse
from django.utils import timezone

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from history_app.querysets import RequestRecordQuerySet
from models_app.models import Node
from runtime_app.choices import RuntimeKind
from runtime_app.models import Activation, Runtime
from runtime_app.querysets import ActivationQuerySet
from runtime_app.services.names_table import model_behind
from runtime_app.services.way_back import WayBack, former_told, way_back

SERVICE_TYPE = "local"
FALLBACK_COUNTS = timedelta(minutes=2)


def active_activation(node: Node | None = None) -> Activation | None:
    """The default of the installation or what is active on one of its machines, if the
    profile shows its runtime."""
    if node is None:
        return _active_ones().first()
    found = active_on(node.pk)
    is_shown = found and Runtime.objects.of_profile().filter(pk=found.runtime_id)
    return found if is_shown else None


def _active_ones() -> ActivationQuerySet:
    shown = Runtime.objects.of_profile()
    return Activation.objects.default().filter(runtime__in=shown)


def active_on(node_id: Any) -> Activation | None:
    """What is active on one node, the default of the installation or not."""
    rows = Activation.objects.active().filter(node_id=node_id)
    return rows.select_related("runtime__node").first()


def link_installed() -> None:
    """Point activations at models that were registered after them; that is how the
    lower floor knows what is active. Called by every health check: one query."""
    for activation in Activation.objects.active().filter(installed_model=None):
        found = model_behind(activation.runtime, activation.served_name)
        if found is not None:
            rows = Activation.objects.filter(pk=activation.pk)
            rows.update(installed_model=found)


def active_payload(node: Node | None = None) -> dict[str, Any]:
    """The fields of docs/api.md; with nothing active they are null, never absent."""
    activation = active_activation(node)
    known = fields_of(activation) if activation else dict.fromkeys(_NAMES)
    return known | remembered_models(node)


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


def fields_of(activation: Activation) -> dict[str, Any]:
    """Also for an activation that is none: one that says what answered a task."""
    runtime = activation.runtime
    provider, endpoint = runtime.provider, runtime.base_url
    listed = runtime.serves(activation.served_name)
    is_misnamed = bool(active_names(activation).get("is_mismatch"))
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
        "served_name": listed["name"] if listed else _published_instead(runtime),
        "expected_name": activation.served_name,
        "alias_ok": listed is not None and not is_misnamed,
        "node": runtime.node.name,
    }


def _published_instead(runtime: Runtime) -> str | None:
    """What a server of one model calls it; Ollama lists many that are others."""
    if runtime.kind == RuntimeKind.OLLAMA or not runtime.served_models:
        return None
    return str(runtime.served_models[0]["name"])


def active_names(activation: Activation) -> dict[str, Any]:
    """The guard's last comparison, where it is about this very activation."""
    names = activation.runtime.names
    known = names if isinstance(names, dict) else {}
    return known if known.get("configured") == activation.served_name else {}


def config_hash(provider: str, endpoint: str, model: str) -> str:
    """First 12 hex digits of SHA-256 of the lower-cased `provider|endpoint|model`."""
    text = f"{provider}|{endpoint}|{model}".lower()
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def remembered_models(node: Node | None = None) -> dict[str, dict[str, str]]:
    """The last active model of each runtime and the one before it."""
    rows = Runtime.objects.of_profile().exclude(last_model="").in_order()
    if node is not None:
        rows = rows.filter(node=node)
    return {
        "last_models": {row.name: row.last_model for row in rows},
        "previous_models": {
            row.name: row.previous_model for row in rows if row.previous_model
        },
    }


def active_answer(node: Node | None = None) -> dict[str, Any]:
    """The body of GET `/system/llm-servers/active`, without `success`."""
    payload = active_payload(node)
    activation = active_activation(node)
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
    """Which server and model answers now, in the top bar. `answers_from` names the
    runtime that answers in its place, while requests fall back, and why."""

    state: str
    error: str = ""
    provider: str = ""
    model: str = ""
    runtime: str = ""
    endpoint: str = ""
    port: int | None = None
    latency_ms: float | None = None
    checked_at: datetime | None = None
    url: str = ""
    answers_from: str = ""
    fallback_reason: str = ""
    back: WayBack | None = None


def chip() -> Chip:
    """One query while nothing falls back."""
    newest = Subquery(_late_fallbacks().newest_first().values("pk")[:1])
    told = {"late_fallback": newest, "former": former_told()}
    activation = _active_ones().annotate(**told).first()
    if activation is None:
        return Chip(state="none", url=reverse("runtime-list"))
    runtime, elsewhere = activation.runtime, _fallback_of(activation)
    return Chip(
        state="unstable" if runtime.is_unstable else runtime.status,
        error=runtime.error_message,
        provider=runtime.provider,
        model=activation.model_name,
        runtime=runtime.display_name,
        endpoint=runtime.base_url,
        port=runtime.port,
        latency_ms=runtime.latency_ms,
        checked_at=runtime.last_check_at,
        url=reverse("runtime-active"),
        answers_from=elsewhere.runtime if elsewhere else "",
        fallback_reason=elsewhere.reason_code if elsewhere else "",
        back=way_back(activation),
    )


def _late_fallbacks() -> RequestRecordQuerySet:
    lately = timezone.now() - FALLBACK_COUNTS
    return RequestRecord.objects.filter(fallback=True, created_at__gt=lately)


def _fallback_of(activation: Activation) -> RequestRecord | None:
    """The newest answer that came from another runtime in the last two minutes, unless
    the active one has answered since."""
    pk = getattr(activation, "late_fallback", None)
    last = RequestRecord.objects.filter(pk=pk).first() if pk else None
    if last is None or last.runtime == activation.runtime.name:
        return None
    since = RequestRecord.objects.filter(
        llm_model=activation.served_name,
        runtime=activation.runtime.name,
        status=RequestStatus.COMPLETED,
        created_at__gt=last.created_at,
    )
    return None if since.exists() else last
