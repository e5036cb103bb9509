"""The trace of one request while it is being made: what was decided, asked and met.

Kept by `journey.py` and written with the row; the shapes are `history_app.trace`. It
holds no text of clients or models: only names that servers gave, codes and numbers.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Literal

from history_app.trace import VERSION, Candidate, Hop, Step, Trace
from runtime_app.gateway.names import Route
from runtime_app.gateway.upstream import without_credentials

StepStatus = Literal["ok", "error", "note"]


class Trail:
    """Moments are those of `time.perf_counter()`."""

    def __init__(self) -> None:
        self._clock_was_at = time.time() - time.perf_counter()
        self.candidates: tuple[Candidate, ...] = ()
        self.notes: tuple[str, ...] = ()
        self._hops: list[Hop] = []
        self._steps: list[tuple[float, str, str, StepStatus, str]] = []

    @property
    def attempts(self) -> int:
        return len(self._hops)

    def step(
        self,
        component: str,
        action: str,
        details: str = "",
        *,
        status: StepStatus = "ok",
        at: float | None = None,
    ) -> None:
        """`at` is now where it is left out."""
        moment = time.perf_counter() if at is None else at
        self._steps.append((moment, component, action, status, details))

    def hop(
        self, route: Route, *, asked_at: float, status: int | None, error_code: str
    ) -> None:
        seconds = time.perf_counter() - asked_at
        self._hops.append(
            Hop(
                runtime=route.runtime.name,
                provider=route.runtime.provider,
                model=route.served_name,
                endpoint=without_credentials(route.runtime.endpoint),
                status=status,
                duration_ms=round(seconds * 1000, 3),
                reason_code=route.reason_code,
                error_code=error_code,
            )
        )

    def trace(self) -> Trace:
        return Trace(
            v=VERSION,
            candidates=list(self.candidates),
            hops=self._hops,
            steps=[self._written(step) for step in sorted(self._steps, key=_moment)],
            notes=list(self.notes),
        )

    def _written(self, step: tuple[float, str, str, StepStatus, str]) -> Step:
        moment, component, action, status, details = step
        return {
            "component": component,
            "action": action,
            "timestamp": _iso(self._clock_was_at + moment),
            "status": status,
            "details": details,
        }


def _iso(moment: float) -> str:
    """As `units.iso`, for a number of seconds: a request has half a dozen of them, most
    in the same second."""
    whole = int(moment)
    return f"{_second(whole)}.{int((moment - whole) * 1000):03d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _moment(step: tuple[float, str, str, StepStatus, str]) -> float:
    return step[0]
