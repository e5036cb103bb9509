"""What a practice Ollama has installed and loaded, and the rules of keep_alive.

Endpoints and tests share one `OllamaState`. Expiry is looked at when someone
looks, not by a timer; a model in use never expires.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.neighbour import NeighbourState, Refusal
from tests.fakes.ollama_models import LIBRARY, PracticeModel, full_name, make_model

FOREVER = timedelta(days=292 * 365)  # Go's longest duration, as the real one shows
DEFAULT_CONTEXT = 4096
UNLOAD_DELAY = timedelta(seconds=0.05)  # VRAM is freed after the answer, not before
GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
GO_PIECE = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")


@dataclass(kw_only=True)
class Loaded:
    """A model in memory; `users` counts the requests it is answering."""

    model: PracticeModel
    context_length: int
    expires_at: datetime
    users: int = 0


@dataclass(kw_only=True)
class OllamaState(NeighbourState):
    """The settings, the models and the record of one practice Ollama."""

    version: str = "0.33.0"
    load_seconds: float = 0
    vram_share: float = 1.0  # 0: all in RAM, between: partly on the GPU
    tick_seconds: float = 0.01  # between two progress lines of a pull
    models: dict[str, PracticeModel] = field(default_factory=dict)
    library: set[str] = field(default_factory=lambda: set(LIBRARY))
    memory: dict[str, Loaded] = field(default_factory=dict)

    @property
    def is_modern(self) -> bool:
        """Whether this version names capabilities in its lists."""
        major, minor, *_ = [*map(int, re.findall(r"\d+", self.version)), 0, 0]
        return (major, minor) >= (0, 30)

    def started(self) -> None:
        super().started()
        self.memory.clear()

    def model_names(self) -> list[str]:
        return [model.name for model in self.newest_first()]

    def newest_first(self) -> list[PracticeModel]:
        newest = sorted(self.models.values(), key=lambda model: model.modified_at)
        return newest[::-1]

    def add_model(self, name: str) -> None:
        self.models[full_name(name).lower()] = make_model(name)

    def remove_model(self, name: str) -> None:
        self.models.pop(full_name(name).lower(), None)

    def find(self, name: str) -> PracticeModel:
        """Return the installed model; names compare without regard to case."""
        model = self.models.get(full_name(name).lower())
        if model is None:
            raise Refusal(404, f"model '{name}' not found")
        return model

    def loaded(self) -> list[Loaded]:
        """Return what is in memory now, the longest remaining first."""
        now = datetime.now(UTC)
        for name, entry in list(self.memory.items()):
            if not entry.users and entry.expires_at <= now:
                del self.memory[name]
        return sorted(self.memory.values(), key=lambda entry: -_stamp(entry.expires_at))

    @asynccontextmanager
    async def in_use(
        self, model: PracticeModel, keep_alive: timedelta, context: int | None = None
    ) -> AsyncIterator[None]:
        """Hold the model in memory during a request, loading it when needed."""
        await self._load(model, min(context or DEFAULT_CONTEXT, model.context_length))
        entry = self.memory[model.name]
        entry.users += 1
        try:
            yield
        finally:
            entry.users -= 1
            self.keep(entry, keep_alive)

    def keep(self, entry: Loaded, keep_alive: timedelta) -> None:
        """Set when the model leaves, counted from now; zero leaves a little later."""
        entry.expires_at = datetime.now(UTC) + max(keep_alive, UNLOAD_DELAY)

    async def _load(self, model: PracticeModel, context: int) -> None:
        self.loaded()
        entry = self.memory.get(model.name)
        if entry and entry.context_length == context:
            return
        # A new num_ctx reloads the runner, as expensive as the first time.
        await asyncio.sleep(self.load_seconds)
        users = entry.users if entry else 0
        self.memory[model.name] = Loaded(
            model=model,
            context_length=context,
            expires_at=datetime.now(UTC) + parse_keep_alive(None),
            users=users,
        )


def parse_keep_alive(given: Any) -> timedelta:
    """Return how long a model stays: seconds or a Go duration, negative for ever."""
    if given is None:
        return timedelta(minutes=5)
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        raise Refusal(400, f"Unsupported type: '{type(given).__name__}'")
    seconds = go_seconds(given) if isinstance(given, str) else float(given)
    longest = FOREVER.total_seconds()
    return FOREVER if seconds < 0 else timedelta(seconds=min(seconds, longest))


def go_seconds(text: str) -> float:
    """Return the seconds of a Go duration such as `1h30m`, or refuse it as Go does."""
    sign = -1 if text.startswith("-") else 1
    bare = text.lstrip("+-")
    if bare == "0":
        return 0
    pieces = GO_PIECE.findall(bare)
    if not pieces or "".join(map("".join, pieces)) != bare:
        unitless = bare.replace(".", "", 1).isdigit()
        complaint = "missing unit in duration" if unitless else "invalid duration"
        raise Refusal(400, f'time: {complaint} "{text}"')
    return sign * sum(float(number) * GO_UNITS[unit] for number, unit in pieces)


def _stamp(moment: datetime) -> float:
    return moment.timestamp()
