"""What pages were told last, and whether a new measurement is news to them.

Memory that grows by a page at each look would push at each look; it is compared with
what was told, so that slow growth is told too, once it can be seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from runtime_app.models import MachineSample, Runtime, RuntimeSample

MIB = 1 << 20
LEAST_BYTES = 64 * MIB
SHARE = 0.05
POINTS = 5.0  # of a percentage
ALWAYS_NEWS = frozenset({"pid", "restarts"})

Memory = tuple[int | None, int | None]
Figures = dict[str, float | None]


def has_moved(told: int | None, now: int | None) -> bool:
    """By more than 64 MiB and more than 5 %; appeared or gone."""
    if told is None or now is None:
        return told is not now
    return abs(now - told) > max(LEAST_BYTES, SHARE * told)


class Told:
    """Kept by the process: after its restart the row's own values count as told."""

    def __init__(self) -> None:
        self._memory: dict[UUID, Memory] = {}
        self._figures: Figures = {}

    def is_news_of(self, runtime: Runtime, fields: dict[str, Any]) -> bool:
        """`fields` are about to replace those of the row."""
        if fields.keys() & ALWAYS_NEWS:
            return True
        row = (runtime.memory_bytes, runtime.vram_bytes)
        told = self._memory.setdefault(runtime.pk, row)
        now = (
            fields.get("memory_bytes", runtime.memory_bytes),
            fields.get("vram_bytes", runtime.vram_bytes),
        )
        return any(map(has_moved, told, now))

    def note(self, runtime: Runtime) -> None:
        self._memory[runtime.pk] = (runtime.memory_bytes, runtime.vram_bytes)

    def is_news(self, machine: MachineSample, samples: Iterable[RuntimeSample]) -> bool:
        """Whether any figure of this look moved visibly; then they count as told."""
        now = _figures(machine, samples)
        if self._figures.keys() == now.keys() and not any(
            _differs(name, self._figures[name], value) for name, value in now.items()
        ):
            return False
        self._figures = now
        return True


def _figures(machine: MachineSample, samples: Iterable[RuntimeSample]) -> Figures:
    found: Figures = {
        "percent cpu": machine.cpu_percent,
        "bytes memory": machine.memory_used_bytes,
    }
    for gpu in machine.gpus:
        found[f"bytes gpu {gpu['index']}"] = gpu["used_bytes"]
        found[f"percent gpu {gpu['index']}"] = gpu["utilization_percent"]
    for sample in samples:
        who = sample.runtime_id
        found[f"bytes {who}"] = sample.memory_bytes
        found[f"bytes gpu of {who}"] = sample.vram_bytes
        found[f"number running {who}"] = sample.requests_running
        found[f"number waiting {who}"] = sample.requests_waiting
        found[f"number tokens {who}"] = sample.output_tokens_per_second
        found[f"status {who} {sample.status}"] = 1
    return found


def _differs(name: str, told: float | None, now: float | None) -> bool:
    if told is None or now is None:
        return told is not now
    if name.startswith("bytes"):
        return has_moved(int(told), int(now))
    if name.startswith("percent"):
        return abs(now - told) > POINTS
    return told != now
