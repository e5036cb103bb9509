"""`GET /v1/models`, and what is said about addresses and methods that do not exist."""

from __future__ import annotations

import json
from collections.abc import Set
from typing import Any

from runtime_app.gateway.entries import RuntimeEntry, Snapshot
from runtime_app.gateway.names import Route, find_served, in_order, unknown_model
from runtime_app.gateway.refusals import Refusal, Refused

MODELS = "/v1/models"
RESPONSES = "/v1/responses"


def no_such_call(path: str, method: str, posts: Set[str]) -> Refusal | None:
    """404 or 405, or None for a call that exists."""
    if method == "POST" and path in posts:
        return None
    if path == RESPONSES or path.startswith(f"{RESPONSES}/"):
        return Refusal(
            status=404,
            code="unsupported_endpoint",
            message="/v1/responses is not supported yet. "
            "Use POST /v1/chat/completions.",
        )
    is_list = path == MODELS or path.startswith(f"{MODELS}/")
    if not is_list and path not in posts:
        return Refusal(
            status=404,
            code="unknown_url",
            message="There is nothing at this address under /v1.",
        )
    allowed = "GET" if is_list else "POST"
    if method == allowed:
        return None
    return Refusal(
        status=405,
        code="method_not_allowed",
        message=f"This address takes {allowed} only.",
        allow=allowed,
    )


def answer(path: str, snapshot: Snapshot) -> bytes:
    """The list, or one entry of it; raises `Refused` with 404 for an unknown name."""
    name = path.removeprefix(MODELS).removeprefix("/")
    if path == MODELS or not name:
        return json.dumps({"object": "list", "data": _entries(snapshot)}).encode()
    route = find_served(name, snapshot)
    if route is None:
        raise Refused(unknown_model(name, snapshot))
    return json.dumps(_entry(route, snapshot)).encode()


def _entries(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Every served name once: that of the server which the plain name would reach."""
    found: dict[str, dict[str, Any]] = {}
    for runtime in in_order(snapshot):
        for name in runtime.served:
            route = Route(runtime=runtime, served_name=name)
            found.setdefault(name, _entry(route, snapshot))
    return list(found.values())


def _entry(route: Route, snapshot: Snapshot) -> dict[str, Any]:
    runtime: RuntimeEntry = route.runtime
    active = snapshot.active
    return {
        "id": route.served_name,
        "object": "model",
        "created": runtime.created,
        "owned_by": runtime.provider,
        "runtime": runtime.name,
        "active": active is not None
        and runtime is active.runtime
        and route.served_name == active.served_name,
    }
