"""What a snapshot is made of: frozen values, no database, no loop.

`snapshot.py` loads them, `routing.py` and `params.py` decide by them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from runtime_app.choices import RuntimeKind
from runtime_app.governance.fallback import FallbackPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEntry:
    id: str
    name: str
    scopes: frozenset[str]
    expires_at: datetime | None

    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """What is known of a model on a runtime: None where nobody has looked.

    `params` are the stored generation parameters, under the names of docs/api.md.
    """

    supports_system_role: bool | None = None
    prompt_template: str = ""
    params: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainEntry:
    """A model is leaving a runtime until then; an empty name is the whole runtime."""

    runtime: str
    served_name: str
    ends_at: datetime

    def concerns(self, runtime: str, served_name: str) -> bool:
        is_named = self.served_name in {"", served_name}
        return self.runtime == runtime and is_named


@dataclass(frozen=True, slots=True, kw_only=True)
class ComingEntry:
    """A model that an activation is about to bring to a runtime, which may not run yet
    and lists it at the earliest then."""

    runtime: str
    served_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeEntry:
    """`endpoint` is where the OpenAI routes begin; `served` the server's own names,
    `installed` the names of what lies here for it, whether it lists them or not."""

    name: str
    display_name: str
    provider: str
    kind: str
    endpoint: str
    node: str
    status: str = "unknown"
    served: tuple[str, ...] = ()
    installed: frozenset[str] = frozenset()
    last_model: str = ""
    misnamed: str = ""  # a name that it was seen not to publish though it should
    created: int = 0
    key: str | None = field(default=None, repr=False)
    key_is_unreadable: bool = False
    models: Mapping[str, ModelEntry] = field(default_factory=dict, repr=False)

    def served_name(self, model: str) -> str | None:
        """The server's own name for `model`; Ollama's `:latest` may be left out."""
        return self._name_in(self.served, model)

    def installed_name(self, model: str) -> str | None:
        """The same for what is installed here, also while the server lists it not."""
        return self._name_in(self.installed, model)

    def _name_in(self, names: Collection[str], model: str) -> str | None:
        if model in names:
            return model
        latest = f"{model}:latest"
        is_short = self.kind == RuntimeKind.OLLAMA and latest in names
        return latest if is_short else None

    def model(self, served_name: str) -> ModelEntry:
        return self.models.get(served_name, _UNKNOWN_MODEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveEntry:
    runtime: RuntimeEntry
    model_name: str
    served_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`number` and `models_seen` say how new it is: of the policy and of the models
    and what they can do. `open_alerts` holds the keys of open alerts, so that the first
    good answer can close what it disproves. `decided` is what `choosing.py` remembers
    of its decisions, for as long as this snapshot is in force."""

    number: int
    models_seen: tuple[datetime | None, int] = (None, 0)
    profile: str
    policy: FallbackPolicy = field(default_factory=FallbackPolicy)
    keys: Mapping[str, KeyEntry] = field(default_factory=dict, repr=False)
    runtimes: tuple[RuntimeEntry, ...] = ()
    active: ActiveEntry | None = None
    drains: tuple[DrainEntry, ...] = ()
    coming: tuple[ComingEntry, ...] = ()
    open_alerts: frozenset[str] = frozenset()
    decided: dict[Any, Any] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """A request that this process makes itself, through the same door as everybody.

    It travels as `scope["venom.inside"]`, which no client can write. `path` is how the
    history names it; `keeps_contents` false keeps prompt and answer out of the history.
    `prompt` is what is asked now, without the conversation before it.
    """

    key: KeyEntry
    row_id: UUID
    path: str
    session_id: str = ""
    prompt: str = ""
    keeps_contents: bool = True


_UNKNOWN_MODEL = ModelEntry()
