"""What leaves: a server, an alert, a served model, as API, events and pages show them.

Plain dicts with the contract's names.
"""

from __future__ import annotations

from typing import Any

from models_app.schemas.models import size_gb
from runtime_app.choices import CAN_UNLOAD, ManagedBy
from runtime_app.models import Alert, Runtime
from venom_site.lib.units import GIB, iso

MIB = GIB // 1024


def server_payload(runtime: Runtime) -> dict[str, Any]:
    """A server as docs/api.md shows it; what is not measured yet is null."""
    return {
        "name": runtime.name,
        "display_name": runtime.display_name,
        "provider": runtime.provider,
        "endpoint": runtime.base_url,
        "health_url": health_url(runtime),
        "managed_by": runtime.managed_by,
        "supports": _supports(runtime),
        "status": runtime.status,
        "unstable": runtime.is_unstable,
        "recent_changes": runtime.flap_count,
        "latency_ms": runtime.latency_ms,
        "last_check": iso(runtime.last_check_at),
        "error_message": runtime.error_message or None,
        "pid": runtime.pid,
        "memory_mb": mib(runtime.memory_bytes),
        "vram_mb": mib(runtime.vram_bytes),
        "uptime_seconds": runtime.uptime_seconds,
        "restarts": runtime.restarts,
        "version": runtime.version or None,
        "loaded": [m["name"] for m in runtime.loaded_models],
        "memory": [_in_memory(m) for m in runtime.loaded_models],
        "models": [m["name"] for m in runtime.served_models],
        "models_count": len(runtime.served_models),
        "node": runtime.node.name,
        "alias": alias_payload(runtime),
    }


def alias_payload(runtime: Runtime) -> dict[str, Any] | None:
    """What the alias guard compared last; null where nothing is to be compared."""
    names = runtime.names
    if not isinstance(names, dict) or not names:
        return None
    shown = ("configured", "registered", "published", "requested", "differing")
    return {
        "ok": names.get("ok", True),
        "is_mismatch": names.get("is_mismatch", False),
        **{name: names.get(name) or None for name in shown},
        "repair": names.get("repair") or None,
        "target": names.get("target") or None,
        "sentence": names.get("sentence") or None,
    }


def _supports(runtime: Runtime) -> dict[str, bool]:
    """What may be asked of it; a server that we do not run is only asked to unload."""
    is_ours = runtime.managed_by != ManagedBy.EXTERNAL
    wishes = dict.fromkeys(("start", "stop", "restart"), is_ours)
    return wishes | {"unload": runtime.kind in CAN_UNLOAD}


def mib(size: int | None) -> float | None:
    """Bytes as MiB, as drivers report memory."""
    return None if size is None else round(size / MIB, 1)


def _in_memory(model: dict[str, Any]) -> dict[str, Any]:
    """`expires_at` null: it stays, or the server does not say."""
    names = ("size_bytes", "size_vram_bytes", "context_length", "expires_at")
    return {"name": model["name"]} | {name: model.get(name) for name in names}


def health_url(runtime: Runtime) -> str:
    """What the health check asks first."""
    if runtime.openai_url == runtime.base_url:
        return f"{runtime.base_url}/models"
    return f"{runtime.base_url}/api/version"


def alert_payload(alert: Alert) -> dict[str, Any]:
    """An alert as docs/api.md shows it; `state` also says that it is silenced."""
    return {
        "id": str(alert.pk),
        "code": alert.code,
        "severity": alert.severity,
        "state": alert.shown_state,
        "provider": alert.provider or None,
        "runtime": alert.runtime or None,
        "model": alert.model or None,
        "endpoint": alert.endpoint or None,
        "node": alert.node or None,
        "error_class": alert.error_class or None,
        "http_status": alert.http_status,
        "message": alert.message,
        "request_id": alert.request_id or None,
        "count": alert.count,
        "first_seen_at": iso(alert.first_seen_at),
        "last_seen_at": iso(alert.last_seen_at),
        "closed_at": iso(alert.closed_at),
        "closed_by": alert.closed_by or None,
        "silenced_until": iso(alert.silenced_until) if alert.is_silenced else None,
        "silenced_by": alert.silenced_by or None,
        "silence_reason": alert.silence_reason or None,
    }


def served_payload(
    runtime: Runtime, model: dict[str, Any], *, is_active: bool
) -> dict[str, Any]:
    """A served model as docs/api.md shows it; null where nobody has told us."""
    return {
        "name": model["name"],
        "display_name": model["name"],
        "provider": runtime.provider,
        "runtime": runtime.name,
        "type": None,
        "size_gb": size_gb(model.get("size_bytes")),
        "quantization": model.get("quantization") or None,
        "parameter_size": model.get("parameter_size") or None,
        "path": None,
        "source": None,
        "digest": model.get("digest") or None,
        "revision": None,
        "status": "installed",
        "active": is_active,
        "source_type": "local-runtime",
        "requires_gpu": None,
        "installed_at": None,
        "operation_id": None,
        "fit": None,
    }
