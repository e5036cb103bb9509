"""`choose_route()`: which servers may answer a request, in which order. Pure.

The first choice is what the name means (`names.py`). What it cannot answer may go to
another local server, by the policy, and never without a reason code. Every server that
could have answered is a candidate with the reason why it was taken or passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from history_app.trace import Candidate, Verdict
from runtime_app.gateway.entries import RuntimeEntry, Snapshot
from runtime_app.gateway.hindrances import (
    MODEL_NOT_FOUND,
    STARTING,
    Hindrance,
    hindrance_of,
)
from runtime_app.gateway.names import PRIMARY, Meant, Route, meaning_of
from runtime_app.gateway.refusals import Refusal, starting
from runtime_app.gateway.schemas import CHAT, EMBEDDINGS
from runtime_app.governance.fallback import FallbackPolicy
from venom_site.lib.access import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What of a request decides its route. `model` None is the active one."""

    model: str | None
    path: str = CHAT
    may_operate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`routes` are tried in order; with none of them `refusal` says why.

    `awaited` is a first choice that will answer soon: the request is held for it, and
    only then goes on to `routes` or is refused. `must_activate` says that it needs a
    switch of the active model.
    """

    routes: tuple[Route, ...] = ()
    refusal: Refusal | None = None
    awaited: Route | None = None
    must_activate: bool = False
    candidates: tuple[Candidate, ...] = ()

    @property
    def first(self) -> Route | None:
        """Whom the request is meant for as things stand."""
        return self.awaited or (self.routes[0] if self.routes else None)

    def after_waiting(self) -> Decision:
        """The same for a request that was held before it: it says so."""
        routes = (
            replace(route, reason_code=STARTING)
            if route.reason_code == PRIMARY and not route.is_fallback
            else route
            for route in self.routes
        )
        return replace(self, routes=tuple(routes))


def choose_route(asked: Asked, snapshot: Snapshot, policy: FallbackPolicy) -> Decision:
    meant = meaning_of(asked.model, snapshot)
    if isinstance(meant, Refusal):
        return Decision(refusal=meant)
    others = [] if meant.is_forced else _others(meant.route, asked, snapshot)
    if not meant.is_active:
        return _of_inactive(meant, others, asked, snapshot, policy)
    first = meant.route
    hindrance = hindrance_of(first, snapshot)
    if hindrance is None:
        return _sent(first, others)
    if hindrance.reason == STARTING:
        return _held(first, others, hindrance)
    is_allowed = hindrance.reason.removeprefix("FALLBACK_") in policy.switches
    if is_allowed and any(isinstance(other, Route) for other in others):
        return _passed_over(first, others, hindrance)
    if first.runtime.key_is_unreadable:
        return Decision(
            refusal=_unreadable_key(first.runtime),
            candidates=(_candidate(first, "passed_over", hindrance),),
        )
    if hindrance.reason == MODEL_NOT_FOUND:  # it would be a 404
        return Decision(
            refusal=_wrong_alias(first, hindrance),
            candidates=(_candidate(first, "passed_over", hindrance),),
        )
    return _sent(first, others)  # nobody else could: health may be out of date


# What may become of the first choice


def _sent(first: Route, others: list[Route | Candidate]) -> Decision:
    chosen = _candidate(first, "chosen")
    return _decision(others, (first,), chosen)


def _passed_over(
    first: Route, others: list[Route | Candidate], hindrance: Hindrance
) -> Decision:
    passed = _candidate(first, "passed_over", hindrance)
    return _decision(others, (), passed, reason=hindrance.reason)


def _held(
    first: Route,
    others: list[Route | Candidate],
    hindrance: Hindrance,
    *,
    must_activate: bool = False,
) -> Decision:
    decision = _passed_over(first, others, hindrance)
    return replace(
        decision,
        awaited=replace(first, reason_code=STARTING),
        must_activate=must_activate,
        refusal=starting(first.runtime.display_name, first.served_name),
    )


def _of_inactive(
    meant: Meant,
    others: list[Route | Candidate],
    asked: Asked,
    snapshot: Snapshot,
    policy: FallbackPolicy,
) -> Decision:
    """A model that is here but does not answer now, as VENOM_ON_INACTIVE_MODEL says."""
    first = meant.route
    passed = Hindrance(reason=MODEL_NOT_FOUND, detail="It is not the active model.")
    if policy.on_inactive == "activate":
        if asked.may_operate:
            wanted = Hindrance(reason=STARTING, detail="It is activated for this.")
            return _held(first, others, wanted, must_activate=True)
        refusal = _may_not_switch(first)
    else:
        refusal = not_active(first, snapshot)
    may_fall_back = policy.on_inactive == "fallback"
    if may_fall_back and any(isinstance(other, Route) for other in others):
        return _passed_over(first, others, passed)
    candidates = (_candidate(first, "passed_over", passed),)
    return Decision(refusal=refusal, candidates=candidates)


def _decision(
    others: list[Route | Candidate],
    routes: tuple[Route, ...],
    first: Candidate,
    *,
    reason: str = "",
) -> Decision:
    """Put the others behind what was decided of the first choice."""
    candidates = [first]
    for other in others:
        if not isinstance(other, Route):
            candidates.append(other)
            continue
        verdict: Verdict = "next" if routes else "chosen"
        route = replace(other, reason_code=reason) if reason else other
        routes = (*routes, route)
        candidates.append(_candidate(route, verdict))
    return Decision(routes=routes, candidates=tuple(candidates))


# The others


def _others(first: Route, asked: Asked, snapshot: Snapshot) -> list[Route | Candidate]:
    """Every other server in fallback order: a route, or why it is passed over."""
    found: list[Route | Candidate] = []
    for runtime in snapshot.runtimes:
        if runtime is first.runtime:
            continue
        served = _served_instead(runtime, first, asked, snapshot)
        route = Route(runtime=runtime, served_name=served or "", is_fallback=True)
        hindrance = _NO_MODEL if served is None else hindrance_of(route, snapshot)
        if hindrance is None:
            found.append(route)
        else:
            found.append(_candidate(route, "passed_over", hindrance))
    return found


_NO_MODEL = Hindrance(
    reason=MODEL_NOT_FOUND, detail="It has no model that could answer instead."
)


def _served_instead(
    runtime: RuntimeEntry, first: Route, asked: Asked, snapshot: Snapshot
) -> str | None:
    """The same model, else the server's active, last or only one. Vectors of two
    models cannot be compared, so embeddings go to the same model or nowhere."""
    same = runtime.served_name(first.served_name)
    if same is not None or asked.path == EMBEDDINGS:
        return same
    active = snapshot.active
    if active is not None and active.runtime is runtime:
        return active.served_name
    last = runtime.served_name(runtime.last_model) if runtime.last_model else None
    return last or (runtime.served[0] if len(runtime.served) == 1 else None)


def _candidate(
    route: Route, verdict: Verdict, hindrance: Hindrance | None = None
) -> Candidate:
    return Candidate(
        runtime=route.runtime.name,
        provider=route.runtime.provider,
        model=route.served_name,
        verdict=verdict,
        reason=hindrance.reason if hindrance else route.reason_code,
        detail=hindrance.detail if hindrance else "",
    )


# Sentences


def _unreadable_key(runtime: RuntimeEntry) -> Refusal:
    return Refusal(
        status=502,
        code="upstream_auth",
        error_class="AUTH_ERROR",
        message=f"The stored key of “{runtime.name}” cannot be decrypted. "
        "Give the key again or restore VENOM_ENCRYPTION_KEYS.",
    )


def _wrong_alias(route: Route, hindrance: Hindrance) -> Refusal:
    """404, as the server itself would answer, but with the remedy."""
    runtime = route.runtime
    return Refusal(
        status=404,
        code="alias_mismatch",
        error_class="MODEL_NOT_FOUND",
        reason_code=MODEL_NOT_FOUND,
        param="model",
        message=f"“{runtime.name}” does not serve “{route.served_name}”. "
        f"{hindrance.detail} POST /api/v1/system/llm-servers/{runtime.name}/repair "
        "puts it right.",
    )


def not_active(route: Route, snapshot: Snapshot, *, also: str = "") -> Refusal:
    """409, naming what is active and the call that activates; `also` is a sentence
    that says why nothing was switched."""
    active, runtime, model = snapshot.active, route.runtime.name, route.served_name
    now = (
        f"Active is “{active.model_name}” on “{active.runtime.name}”."
        if active
        else "Nothing is active."
    )
    is_served = route.runtime.served_name(model) is not None
    forcing = f"; the model name “{runtime}/{model}” forces that server"
    return Refusal(
        status=409,
        code="model_not_active",
        param="model",
        message=f"“{model}” is on “{runtime}” but not active. {now} {also}"
        f'POST /api/v1/models/activate {{"name": "{model}", "runtime": "{runtime}"}} '
        f"activates it{forcing if is_served else ''}.",
    )


def _may_not_switch(route: Route) -> Refusal:
    return Refusal(
        status=403,
        code="scope_missing",
        message=f"“{route.served_name}” on “{route.runtime.name}” is not active. "
        f"Activating it needs the scope “{Scope.OPERATE}”, which this key lacks.",
    )
