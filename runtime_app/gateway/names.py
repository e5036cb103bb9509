"""What the name of a model means: a server and the name that it uses. Pure.

Exact names come first, so that a model whose own name contains a slash is never taken
for a forced runtime. A name that leads nowhere is refused with a code and the call that
would help.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from history_app.choices import CLOUD_PROVIDERS
from runtime_app.choices import PROFILE_KINDS, RuntimeKind
from runtime_app.gateway.entries import ActiveEntry, ComingEntry, RuntimeEntry, Snapshot
from runtime_app.gateway.refusals import Refusal
from venom_site.lib.logging import without_secrets

PRIMARY = "PRIMARY_PROVIDER_SELECTED"
NOBODY = "NO_PROVIDER_AVAILABLE"
LOCAL_ONLY = "POLICY_LOCAL_ONLY"
ACTIVE_WORDS = frozenset({"", "auto", "default"})
_PROFILES_BY_SIZE = ("light", "full")
_MOST_NEAR = 3
_MOST_COMPARED = 100
_LONGEST_QUOTE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`reason_code` says why this server and not the first choice."""

    runtime: RuntimeEntry
    served_name: str
    reason_code: str = PRIMARY
    is_fallback: bool = False

    def __str__(self) -> str:
        return f"{self.runtime.name} {self.served_name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """The first choice. A forced one stands for itself; one that is not active may
    answer only as the policy says."""

    route: Route
    is_forced: bool = False
    is_active: bool = True


def meaning_of(model: str | None, snapshot: Snapshot) -> Meant | Refusal:
    """What a client means by `model`; None is the active one."""
    if model is None or model in ACTIVE_WORDS:
        return _active(snapshot.active)
    return (
        _by_name(model, snapshot)
        or _by_prefix(model, snapshot)
        or unknown_model(model, snapshot)
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


def _active(active: ActiveEntry | None) -> Meant | Refusal:
    if active is None:
        return Refusal(
            status=503,
            code="no_active_runtime",
            reason_code=NOBODY,
            message="No model is active. Activate one on /runtimes/ or with "
            "POST /api/v1/models/activate, or name a model: GET /v1/models lists them.",
        )
    return Meant(route=Route(runtime=active.runtime, served_name=active.served_name))


def _by_name(model: str, snapshot: Snapshot) -> Meant | Refusal | None:
    active = snapshot.active
    if active and model in {active.model_name, active.served_name}:
        return _active(active)
    for runtime in in_order(snapshot):
        served = runtime.served_name(model)
        if served is not None:
            route = Route(runtime=runtime, served_name=served)
            return Meant(route=route, is_active=_answers_now(route, active))
    return _by_coming(model, snapshot) or _by_installed(model, snapshot)


def _by_coming(model: str, snapshot: Snapshot) -> Meant | None:
    """One that a switch is bringing: whoever asks for it waits for that."""
    for coming in snapshot.coming:
        for runtime in snapshot.runtimes:
            if (coming.runtime, coming.served_name) == (runtime.name, model):
                return Meant(route=Route(runtime=runtime, served_name=model))
    return None


def _by_installed(model: str, snapshot: Snapshot) -> Meant | None:
    """One that no server lists: it lies here and could be activated."""
    for runtime in in_order(snapshot):
        if installed := runtime.installed_name(model):
            route = Route(runtime=runtime, served_name=installed)
            return Meant(route=route, is_active=_answers_now(route, snapshot.active))
    return None


def _answers_now(route: Route, active: ActiveEntry | None) -> bool:
    if active is None or route.runtime is not active.runtime:
        return False
    # Ollama loads whatever it is asked for.
    is_ollama = route.runtime.kind == RuntimeKind.OLLAMA
    return is_ollama or route.served_name == active.served_name


def _by_prefix(model: str, snapshot: Snapshot) -> Meant | Refusal | None:
    prefix, slash, rest = model.partition("/")
    if not slash or not rest:
        return None
    for runtime in snapshot.runtimes:
        if runtime.name == prefix:
            return _forced(runtime, rest, snapshot)
    if prefix in CLOUD_PROVIDERS:
        return Refusal(
            status=403,
            code="paid_mode_off",
            reason_code=LOCAL_ONLY,
            message=f"“{prefix}” is a paid cloud and paid mode is off.",
        )
    return _outside_profile(prefix, snapshot.profile)


def _forced(runtime: RuntimeEntry, model: str, snapshot: Snapshot) -> Meant | Refusal:
    served = runtime.served_name(model)
    is_coming = ComingEntry(runtime=runtime.name, served_name=model) in snapshot.coming
    if served is None and not is_coming:
        if installed := runtime.installed_name(model):
            route = Route(runtime=runtime, served_name=installed)
            loads_it = runtime.kind == RuntimeKind.OLLAMA
            is_active = loads_it or _answers_now(route, snapshot.active)
            return Meant(route=route, is_forced=True, is_active=is_active)
        if runtime.served:
            return unknown_model(f"{runtime.name}/{model}", snapshot)
    route = Route(runtime=runtime, served_name=served or model)
    return Meant(route=route, is_forced=True)


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


def unknown_model(model: str, snapshot: Snapshot) -> Refusal:
    quoted = without_secrets(model[: 2 * _LONGEST_QUOTE])[:_LONGEST_QUOTE]
    near = " or ".join(f"“{name}”" for name in _near(quoted, snapshot))
    return Refusal(
        status=404,
        code="model_not_found",
        param="model",
        message=f"The model “{quoted}” is not known here. "
        + (f"Did you mean {near}? " if near else "")
        + "GET /v1/models lists the names that are.",
        error_class="MODEL_NOT_FOUND",
    )


def _near(model: str, snapshot: Snapshot) -> list[str]:
    """The names most like `model`, best first; with the prefix where it has one."""
    prefix, _slash, rest = model.partition("/")
    is_forced = any(runtime.name == prefix for runtime in snapshot.runtimes)
    names: dict[str, str] = {}
    for runtime in in_order(snapshot):
        if not is_forced or runtime.name == prefix:
            names.update((name.lower(), name) for name in runtime.served)
    wanted = (rest if is_forced else model).lower()
    # Comparing a thousand names takes 60 ms, which nobody else may wait for.
    letters = set(wanted)
    alike = sorted(names, key=lambda name: -len(letters.intersection(name)))
    found = get_close_matches(wanted, alike[:_MOST_COMPARED], n=_MOST_NEAR)
    return [f"{prefix}/{names[n]}" if is_forced else names[n] for n in found]
