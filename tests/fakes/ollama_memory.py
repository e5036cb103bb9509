"""What a practice Ollama has in memory, and how it makes room.

Facts sheet, sections 5 and 6. Loads wait in one queue; requests for a model that is
loaded already pass it by. Expiry is looked at when someone looks, not by a timer.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from tests.fakes.neighbour import NeighbourState, Refusal
from tests.fakes.ollama_models import PracticeModel
from tests.fakes.ollama_wire import BUSY, CRASHED

DEFAULT_CONTEXT = 4096
BYTES_PER_TOKEN = 131_072
UNLOAD_DELAY = timedelta(seconds=0.05)  # VRAM is freed after the answer, not before
LOOK_SECONDS = 0.005  # how often a load looks whether it may go on
GIB = 2**30


@dataclass(kw_only=True)
class Loaded:
    """A model in memory; `users` counts the requests it is answering."""

    model: PracticeModel
    context_length: int
    keep_alive: timedelta
    expires_at: datetime
    users: int = 0

    @property
    def size_bytes(self) -> int:
        return memory_of(self.model, self.context_length)

    @property
    def is_leaving(self) -> bool:
        return not self.users and not self.keep_alive

    def stay(self) -> None:
        """Count `keep_alive` from now; zero leaves a little later."""
        self.expires_at = datetime.now(UTC) + max(self.keep_alive, UNLOAD_DELAY)


def memory_of(model: PracticeModel, context_length: int) -> int:
    """Return the bytes of weights and context."""
    return model.size_bytes + BYTES_PER_TOKEN * context_length


@dataclass(kw_only=True)
class MemoryState(NeighbourState):
    """The part of the state that loads, keeps and evicts."""

    settings: ClassVar[tuple[str, ...]] = (
        *NeighbourState.settings,
        *("load_seconds", "vram_share", "vram_bytes"),
        *("max_loaded_models", "max_queue"),
    )

    version: str = "0.33.0"
    load_seconds: float = 0
    vram_share: float = 1.0  # 0: all in RAM, between: partly on the GPU
    vram_bytes: int | None = None  # None: everything fits
    max_loaded_models: int = 0  # OLLAMA_MAX_LOADED_MODELS; 0: as many as fit
    max_queue: int = 512  # OLLAMA_MAX_QUEUE
    default_keep_alive: timedelta = timedelta(minutes=5)  # OLLAMA_KEEP_ALIVE
    memory: dict[str, Loaded] = field(default_factory=dict)
    loads: Counter[str] = field(default_factory=Counter)  # ever, by model
    queued: int = 0  # loads that wait for the one that is going on
    is_loading: bool = False

    @property
    def is_modern(self) -> bool:
        """Whether this version names capabilities in its lists."""
        major, minor, *_ = [*map(int, re.findall(r"\d+", self.version)), 0, 0]
        return (major, minor) >= (0, 30)

    def started(self) -> None:
        super().started()
        self.memory.clear()
        self.queued, self.is_loading = 0, False

    def loaded(self) -> list[Loaded]:
        """Return what is in memory now, the longest remaining first."""
        now = datetime.now(UTC)
        for name, entry in list(self.memory.items()):
            if not entry.users and entry.expires_at <= now:
                del self.memory[name]
        return sorted(self.memory.values(), key=lambda e: e.expires_at, reverse=True)

    def unload(self, model: PracticeModel) -> None:
        """Let it go, at the end of what it is answering; nothing when not loaded."""
        entry = self.memory.get(model.name)
        if entry is not None:
            entry.keep_alive = timedelta(0)
            entry.stay()

    @asynccontextmanager
    async def in_use(
        self,
        model: PracticeModel,
        keep_alive: timedelta | None,
        context: int | None = None,
    ) -> AsyncIterator[None]:
        """Hold the model in memory during a request, loading it when needed.

        A request that names no keep_alive leaves the one of a loaded model alone.
        """
        length = min(context or DEFAULT_CONTEXT, model.context_length)
        entry = self._ready(model, length) or await self._queue(model, length)
        entry.users += 1
        if keep_alive is not None:
            entry.keep_alive = keep_alive
        entry.stay()
        try:
            yield
        finally:
            entry.users -= 1
            entry.stay()

    def _ready(self, model: PracticeModel, length: int) -> Loaded | None:
        self.loaded()
        entry = self.memory.get(model.name)
        if entry is None or entry.is_leaving or entry.context_length != length:
            return None
        return entry

    async def _queue(self, model: PracticeModel, length: int) -> Loaded:
        await self._wait_for_its_turn()
        self.is_loading = True
        try:
            return self._ready(model, length) or await self._load(model, length)
        finally:
            self.is_loading = False

    async def _wait_for_its_turn(self) -> None:
        if self.is_loading and self.queued >= self.max_queue:
            raise Refusal(503, BUSY)
        self.queued += 1
        try:
            while self.is_loading:
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self.queued -= 1

    async def _load(self, model: PracticeModel, length: int) -> Loaded:
        needed = memory_of(model, length)
        if self.vram_bytes is not None and needed > self.vram_bytes:
            raise Refusal(500, self._never_fits(needed, self.vram_bytes))
        # A new num_ctx reloads the runner, as expensive as the first time.
        while model.name in self.memory or not self._has_room(needed):
            self._evict(model)
            await asyncio.sleep(LOOK_SECONDS)
            self.loaded()
        await asyncio.sleep(self.load_seconds)
        entry = Loaded(
            model=model,
            context_length=length,
            keep_alive=self.default_keep_alive,
            expires_at=datetime.now(UTC),
        )
        self.memory[model.name] = entry
        self.loads[model.name] += 1
        return entry

    def _has_room(self, needed: int) -> bool:
        if self.max_loaded_models and len(self.memory) >= self.max_loaded_models:
            return False
        used = sum(entry.size_bytes for entry in self.memory.values())
        return self.vram_bytes is None or used + needed <= self.vram_bytes

    def _evict(self, model: PracticeModel) -> None:
        """Take out an idle runner: its own older one, else the shortest kept."""
        own = self.memory.get(model.name)
        candidates = [own] if own else list(self.memory.values())
        idle = [entry for entry in candidates if not entry.users]
        for entry in sorted(idle, key=lambda entry: entry.keep_alive)[:1]:
            del self.memory[entry.model.name]

    def _never_fits(self, needed: int, available: int) -> str:
        if self.is_modern:
            return CRASHED
        return (
            f"model requires more system memory ({needed / GIB:.1f} GiB) "
            f"than is available ({available / GIB:.1f} GiB)"
        )
