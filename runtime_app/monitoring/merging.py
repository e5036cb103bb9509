"""Many samples as one of a longer span: means, but the most of memory. Pure functions.

A figure of nothing is None, never zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from runtime_app.models import MachineSample, RuntimeSample

MEANS = (
    "latency_ms",
    "requests_running",
    "requests_waiting",
    "output_tokens_per_second",
)


def merge_runtime(
    at: datetime, seconds: int, rows: Sequence[RuntimeSample]
) -> RuntimeSample:
    """`status` is the one that was seen most often, the later of two."""
    means = {name: mean(getattr(row, name) for row in rows) for name in MEANS}
    return RuntimeSample(
        runtime_id=rows[0].runtime_id,
        at=at,
        seconds=seconds,
        status=_most_often([row.status for row in rows]),
        memory_bytes=most(row.memory_bytes for row in rows),
        vram_bytes=most(row.vram_bytes for row in rows),
        **means,
    )


def merge_machine(
    at: datetime, seconds: int, rows: Sequence[MachineSample]
) -> MachineSample:
    return MachineSample(
        node_id=rows[0].node_id,
        at=at,
        seconds=seconds,
        cpu_percent=mean(row.cpu_percent for row in rows),
        memory_used_bytes=max(row.memory_used_bytes for row in rows),
        memory_total_bytes=max(row.memory_total_bytes for row in rows),
        gpus=_gpus(rows),
    )


def _gpus(rows: Sequence[MachineSample]) -> list[dict[str, Any]]:
    """By index; name and whatever else is told come from the latest."""
    seen: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        for gpu in row.gpus:
            seen.setdefault(gpu["index"], []).append(gpu)
    return [_gpu(looks) for _, looks in sorted(seen.items())]


def _gpu(looks: list[dict[str, Any]]) -> dict[str, Any]:
    return looks[-1] | {
        "used_bytes": max(look["used_bytes"] for look in looks),
        "total_bytes": max(look["total_bytes"] for look in looks),
        "utilization_percent": mean(look["utilization_percent"] for look in looks),
        "temperature_celsius": most(look.get("temperature_celsius") for look in looks),
        "power_watts": mean(look.get("power_watts") for look in looks),
    }


def mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def most(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _most_often(words: list[str]) -> str:
    counts = Counter(words)
    return max(reversed(words), key=lambda word: counts[word])
