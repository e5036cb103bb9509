"""The shapes that the templates of runtimes are given; `cards.py` fills them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from django.urls import reverse
from django.utils.http import urlencode

from models_app.models import Operation
from runtime_app.choices import RuntimeStatus

MOST_SHOWN = 8
_ANSWERS = frozenset({RuntimeStatus.ONLINE, RuntimeStatus.DEGRADED})
_CAN_START = frozenset(
    {RuntimeStatus.OFFLINE, RuntimeStatus.UNKNOWN, RuntimeStatus.STOPPING}
)


class MemoryBar(NamedTuple):
    """How full a memory is, and how much of it the server holds; bytes. `own_bytes`
    is None where nobody counts it, `mark_percent` is where an alert is raised."""

    label: str
    used_bytes: int
    total_bytes: int
    own_bytes: int | None
    mark_percent: int

    @property
    def is_high(self) -> bool:
        return 100 * self.used_bytes > self.mark_percent * self.total_bytes


class Latency(NamedTuple):
    """Mean time to answer the health check, hour by hour for a day; milliseconds."""

    hours: list[float | None]
    words: str

    @property
    def is_line(self) -> bool:
        """One hour alone would be a dot."""
        return sum(mean is not None for mean in self.hours) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    name: str
    size_bytes: int | None
    parameter_size: str
    quantization: str
    family: str
    loaded: bool
    size_vram_bytes: int | None
    expires_at: datetime | None
    stays: bool  # the server says that it never leaves
    pinned: bool
    active: bool
    memory_bytes: int | None = None  # in all memory; `size_vram_bytes` of it on a GPU


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeCard:
    name: str
    display_name: str
    kind: str
    base_url: str
    managed_by: str
    status: str
    version: str
    latency_ms: float | None
    last_check_at: datetime | None
    error_message: str
    is_active: bool
    active_model: str
    flap_count: int
    is_unstable: bool
    url: str
    can_activate: bool
    locked_by: Operation | None
    can_unload: bool = False
    models: list[ModelRow] = field(default_factory=list)
    last_answer_at: datetime | None = None
    provider: str = ""  # whose models it runs; empty for a server added by hand
    downloads: int = 0  # half models that a restart of the server may lose
    port: int | None = None
    has_control: bool = False  # Venom may start and stop it
    is_wanted: bool = False  # somebody has asked for it to run
    is_added: bool = False  # a row that people may change and remove
    changed_at: datetime | None = None  # in this state since then
    pid: int | None = None
    started_at: datetime | None = None
    restarts: int = 0
    crashes: int = 0
    start_again_at: datetime | None = None
    holder: dict[str, object] = field(default_factory=dict)  # of its port
    bars: list[MemoryBar] = field(default_factory=list)
    latency: Latency | None = None
    names: dict[str, object] = field(default_factory=dict)  # of the alias guard

    @property
    def shown_status(self) -> str:
        """Many changes within minutes are one state, so that nothing flickers; a
        server that nobody has asked for is no trouble."""
        if self.is_stopped:
            return "stopped"
        return "unstable" if self.is_unstable else self.status

    @property
    def is_stopped(self) -> bool:
        """Off as it should be: nobody wants it to run, and a click starts it."""
        is_off = self.status == RuntimeStatus.OFFLINE and self.has_control
        return is_off and not (self.is_wanted or self.is_active)

    @property
    def answers(self) -> bool:
        return self.status in _ANSWERS

    @property
    def can_start(self) -> bool:
        return self.has_control and self.status in _CAN_START

    @property
    def can_stop(self) -> bool:
        """Also while it starts: that may take minutes and be a mistake."""
        return self.has_control and (
            self.answers or self.status == RuntimeStatus.STARTING
        )

    @property
    def shown_models(self) -> list[ModelRow]:
        """The first few: active, then in memory, then as the server lists them."""
        ranked = sorted(self.models, key=lambda model: not model.active)
        return ranked[:MOST_SHOWN]

    @property
    def more_models(self) -> int:
        return max(0, len(self.models) - MOST_SHOWN)

    @property
    def models_url(self) -> str:
        """Where all its models are: the list of models, else the choice of one."""
        if not self.provider:
            return reverse("activate", args=[self.name])
        query = urlencode({"provider": self.provider})
        return f"{reverse('model-list')}?{query}"

    @property
    def loaded(self) -> list[ModelRow]:
        """What is in memory, also what the server no longer lists."""
        return [model for model in self.models if model.loaded]
