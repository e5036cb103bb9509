"""What every kind of runtime can be asked, and the shape of the answers.

Adapters speak the product's words; the vendor's stay in `venom_site/clients`. Health
and activation use them. An adapter never touches the database.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from runtime_app.choices import RuntimeStatus

Check = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One look at a server. `models` is None when the list could not be read.

    `is_failure` tells a failed look from one that succeeded and found a reason to call
    the server degraded.
    """

    status: str
    version: str | None = None
    models: list[dict[str, Any]] | None = None
    latency_ms: float | None = None
    error: str = ""
    is_failure: bool = field(default=False)


class RuntimeAdapter(Protocol):
    """A server of one kind at one address; kept between checks, thread-safe."""

    def observe(self) -> Observation:
        """Look at the server within about 2 s; never raises `WireError`."""
        ...

    def list_models(self) -> list[dict[str, Any]]:
        """What the server lists now: dicts as `Runtime.served_models` says."""
        ...

    def load(self, model: str, *, seconds: float, check: Check) -> None:
        """Bring the model into memory where the server does that on demand."""
        ...

    def confirm(self, model: str, *, seconds: float, check: Check) -> str:
        """One real token; returns the name under which the server answered."""
        ...

    def close(self) -> None:
        """Give the connections back."""
        ...


def failed(error: Exception, status: str = RuntimeStatus.OFFLINE) -> Observation:
    """The observation that a look ended with this error."""
    return Observation(status=status, error=str(error), is_failure=True)
