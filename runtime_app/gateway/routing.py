"""`choose_route()`: which server answers a request. A pure function.

Exact names come first, so that a model whose own name contains a slash is never taken
for a forced runtime. Nothing is substituted: what cannot be sent is refused with a code
and the call that would help.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime_app.choices import PROFILE_KINDS, RuntimeKind
from runtime_app.gateway.refusals import Refusal
from runtime_app.gateway.snapshot import ActiveEntry, RuntimeEntry, Snapshot

PRIMARY = "PRIMARY_PROVIDER_SELECTED"
ACTIVE_WORDS = frozenset({"", "auto", "default"})
CLOUDS = frozenset({"openai", "google"})
_PROFILES_BY_SIZE = ("light", "full")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    runtime: RuntimeEntry
    served_name: str
    reason_code: str = PRIMARY


def choose_route(model: str | None, snapshot: Snapshot) -> Route | Refusal:
    """The route for the model a client named; None means the active one."""
    if model is None or model in ACTIVE_WORDS:
        return _to_active(snapshot.active)
    return (
        _by_name(model, snapshot) or _by_prefix(model, snapshot) or unknown_model(model)
    )


def find_served(model: str, snapshot: Snapshot) -> Route | None:
    """Where `model` is served, active or not: the active runtime first, then in order.

    A runtime's name before a slash forces it.
    """
    for runtime in in_order(snapshot):
        served = runtime.served_name(model)
        if served is not None:
            return Route(runtime=runtime, served_name=served)
    prefix, _slash, rest = model.partition("/")
    for runtime in in_order(snapshot):
        served = runtime.served_name(rest)
        if served is not None and runtime.name == prefix:
            return Route(runtime=runtime, served_name=served)
    return None


def in_order(snapshot: Snapshot) -> list[RuntimeEntry]:
    """Every runtime of the profile, the active one first."""
    active = snapshot.active.runtime if snapshot.active else None
    others = [runtime for runtime in snapshot.runtimes if runtime is not active]
    return [active, *others] if active else others


def _to_active(active: ActiveEntry | None) -> Route | Refusal:
    if active is None:
        return Refusal(
            status=503,
            code="no_active_runtime",
            message="No model is active. Activate one on /runtimes/ or with "
            "POST /api/v1/models/activate, or name a model: GET /v1/models lists them.",
        )
    return _send(active.runtime, active.served_name)


def _by_name(model: str, snapshot: Snapshot) -> Route | Refusal | None:
    active = snapshot.active
    if active and model in {active.model_name, active.served_name}:
        return _send(active.runtime, active.served_name)
    for runtime in in_order(snapshot):
        served = runtime.served_name(model)
        if served is None:
            continue
        is_active_runtime = active is not None and runtime is active.runtime
        if is_active_runtime and active and served == active.served_name:
            return _send(runtime, served)
        if is_active_runtime and runtime.kind == RuntimeKind.OLLAMA:
            return _send(runtime, served)  # Ollama loads it itself
        return _not_active(model, runtime, active)
    return None


def _by_prefix(model: str, snapshot: Snapshot) -> Route | Refusal | None:
    prefix, slash, rest = model.partition("/")
    if not slash or not rest:
        return None
    for runtime in snapshot.runtimes:
        if runtime.name == prefix:
            return _forced(runtime, rest)
    if prefix in CLOUDS:
        return Refusal(
            status=403,
            code="paid_mode_off",
            message=f"“{prefix}” is a paid cloud and paid mode is off.",
        )
    return _outside_profile(prefix, snapshot.profile)


def _forced(runtime: RuntimeEntry, model: str) -> Route | Refusal:
    served = runtime.served_name(model)
    if served is None and runtime.served:
        return unknown_model(f"{runtime.name}/{model}")
    return _send(runtime, served or model)


def _outside_profile(prefix: str, profile: str) -> Refusal | None:
    if prefix not in {RuntimeKind.OLLAMA, RuntimeKind.VLLM}:
        return None
    if prefix in PROFILE_KINDS[profile]:
        return None
    having = next(name for name in _PROFILES_BY_SIZE if prefix in PROFILE_KINDS[name])
    return Refusal(
        status=403,
        code="outside_profile",
        message=f"“{prefix}” is outside the profile “{profile}”. "
        f"VENOM_RUNTIME_PROFILE={having} has it.",
    )


def _send(runtime: RuntimeEntry, served_name: str) -> Route | Refusal:
    if runtime.key_is_unreadable:
        return Refusal(
            status=502,
            code="upstream_auth",
            error_class="AUTH_ERROR",
            message=f"The stored key of “{runtime.name}” cannot be decrypted. "
            "Give the key again or restore VENOM_ENCRYPTION_KEYS.",
        )
    return Route(runtime=runtime, served_name=served_name)


def _not_active(
    model: str, runtime: RuntimeEntry, active: ActiveEntry | None
) -> Refusal:
    now = (
        f"Active is “{active.model_name}” on “{active.runtime.name}”."
        if active
        else "Nothing is active."
    )
    return Refusal(
        status=409,
        code="model_not_active",
        param="model",
        message=f"“{model}” is on “{runtime.name}” but not active. {now} "
        f'POST /api/v1/models/activate {{"name": "{model}", '
        f'"runtime": "{runtime.name}"}} activates it; the model name '
        f"“{runtime.name}/{model}” forces that server.",
    )


def unknown_model(model: str) -> Refusal:
    return Refusal(
        status=404,
        code="model_not_found",
        param="model",
        message=f"The model “{model[:200]}” is not known here. "
        "GET /v1/models lists the names that are.",
        error_class="MODEL_NOT_FOUND",
    )
