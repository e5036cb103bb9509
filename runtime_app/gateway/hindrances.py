"""Why a server is not asked now: its health, its key, its name, a switch under way.

Pure; `routing.py` decides by it what becomes of a request.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime_app.choices import RuntimeStatus
from runtime_app.gateway.entries import ComingEntry, RuntimeEntry, Snapshot
from runtime_app.gateway.names import Route

STARTING = "RUNTIME_STARTING"
OFFLINE = "FALLBACK_OFFLINE"
AUTH_ERROR = "FALLBACK_AUTH_ERROR"
MODEL_NOT_FOUND = "FALLBACK_MODEL_NOT_FOUND"
_AWAY = frozenset(
    {RuntimeStatus.OFFLINE, RuntimeStatus.STOPPING, RuntimeStatus.CONFLICT}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindrance:
    """`reason` is a reason code, `detail` a sentence."""

    reason: str
    detail: str


def hindrance_of(route: Route, snapshot: Snapshot) -> Hindrance | None:
    """None where the server can be asked."""
    runtime = route.runtime
    if runtime.key_is_unreadable:
        return Hindrance(reason=AUTH_ERROR, detail="Its key cannot be decrypted.")
    if runtime.status == RuntimeStatus.STARTING:
        return Hindrance(reason=STARTING, detail="The server is starting.")
    for drain in snapshot.drains:
        if drain.concerns(runtime.name, route.served_name):
            return Hindrance(reason=STARTING, detail="The model is being switched.")
    coming = ComingEntry(runtime=runtime.name, served_name=route.served_name)
    if coming in snapshot.coming:
        return Hindrance(reason=STARTING, detail="The model is being activated.")
    if runtime.misnamed and runtime.misnamed == route.served_name:
        return Hindrance(reason=MODEL_NOT_FOUND, detail=_misnaming(runtime))
    if runtime.status in _AWAY:
        detail = f"Its health says {runtime.status}."
        return Hindrance(reason=OFFLINE, detail=detail)
    return None


def _misnaming(runtime: RuntimeEntry) -> str:
    named = ", ".join(f"“{name}”" for name in runtime.served[:3])
    return f"It does not publish “{runtime.misnamed}”, but {named or 'nothing'}."
