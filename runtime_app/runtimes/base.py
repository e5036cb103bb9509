"""What every kind of runtime can be asked, and the shape of the answers.

Adapters speak the product's words; the vendor's stay in `venom_site/clients`. Health,
memory and activation use them. An adapter never touches the database.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from runtime_app.choices import RuntimeStatus
from venom_site.lib.errors import Conflict

Check = Callable[[], None]


class UnloadUnsupported(Conflict):
    """This kind of server holds its models as long as it runs."""

    code = "unload_unsupported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One look at a server: what it serves and what is in its memory.

    `models` and `loaded` are None when they could not be read. `is_failure` tells a
    failed look from one that succeeded and found a reason to call the server degraded.
    """

    status: str
    version: str | None = None
    models: list[dict[str, Any]] | None = None
    loaded: list[dict[str, Any]] | None = None
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

    def list_loaded(self) -> list[dict[str, Any]]:
        """What is in memory now: dicts as `Runtime.loaded_models` says."""
        ...

    def load(
        self, model: str, *, seconds: float, check: Check, forever: bool = False
    ) -> None:
        """Bring the model into memory where the server does that on demand."""
        ...

    def confirm(
        self, model: str, *, seconds: float, check: Check, forever: bool = False
    ) -> str:
        """One real token from a model that is then in memory; returns the name under
        which the server answered."""
        ...

    def keep(self, model: str, *, forever: bool) -> None:
        """Set anew how long a model that is in memory stays there."""
        ...

    def unload(self, model: str, *, check: Check) -> None:
        """Free its memory; returns when it is free, which may take as long as the
        requests that run on it. Raises `UnloadUnsupported`."""
        ...

    def close(self) -> None:
        """Give the connections back."""
        ...


def failed(error: Exception, status: str = RuntimeStatus.OFFLINE) -> Observation:
    """The observation that a look ended with this error."""
    return Observation(status=status, error=str(error), is_failure=True)
