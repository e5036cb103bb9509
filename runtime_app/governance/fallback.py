"""When and whither a request may go when its first choice cannot answer it.

A value that the snapshot carries; `gateway.routing` decides by it. Defaults are those
of docs/api.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

# What may send a request on, by error class.
SWITCHING = frozenset(
    {"OFFLINE", "TIMEOUT", "DEGRADED", "RATE_LIMIT", "MODEL_NOT_FOUND", "AUTH_ERROR"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackPolicy:
    """`on_inactive` as VENOM_ON_INACTIVE_MODEL; `switches` the error classes that let
    a request go on; `hold_seconds` how long one waits for a runtime that starts or
    changes its model."""

    on_inactive: str = "refuse"
    switches: frozenset[str] = SWITCHING
    hold_seconds: float = 30.0


def present_policy() -> FallbackPolicy:
    return FallbackPolicy(on_inactive=settings.ENV.VENOM_ON_INACTIVE_MODEL)
