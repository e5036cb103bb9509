"""What machines and servers use, as gauges of `/metrics`: the latest sample of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from runtime_app.models import MachineSample, Runtime

FRESH = timedelta(seconds=60)  # an older one says nothing of now

OF_RUNTIMES = (
    ("venom_runtime_memory_bytes", "Memory of its processes.", "memory_bytes"),
    ("venom_runtime_vram_bytes", "GPU memory of its processes.", "vram_bytes"),
    ("venom_runtime_uptime_seconds", "Age of its process.", "uptime_seconds"),
)
OF_MACHINES = (
    ("venom_machine_cpu_percent", "Use of all processors.", "cpu_percent"),
    ("venom_machine_memory_used_bytes", "Memory in use.", "memory_used_bytes"),
    ("venom_machine_memory_total_bytes", "Memory in all.", "memory_total_bytes"),
)
OF_GPUS = (
    ("venom_gpu_memory_used_bytes", "GPU memory in use.", "used_bytes"),
    ("venom_gpu_memory_total_bytes", "GPU memory in all.", "total_bytes"),
    ("venom_gpu_utilization_percent", "Use of the GPU.", "utilization_percent"),
    ("venom_gpu_temperature_celsius", "Its heat.", "temperature_celsius"),
    ("venom_gpu_power_watts", "What it draws.", "power_watts"),
)


def of_runtimes(rows: Iterable[Runtime]) -> Iterator[Metric]:
    """What is not known of a server is left out, never zero."""
    rows = list(rows)
    labels = ("runtime", "node")
    for name, words, column in OF_RUNTIMES:
        family = GaugeMetricFamily(name, words, labels=labels)
        for row in rows:
            _add(family, (row.name, row.node.name), getattr(row, column))
        yield family
    restarts = CounterMetricFamily(
        "venom_runtime_restarts", "Times it was started anew.", labels=labels
    )
    for row in rows:
        restarts.add_metric((row.name, row.node.name), row.restarts)
    yield restarts


def of_machines() -> Iterator[Metric]:
    """One query: the latest look at each node that still looks."""
    samples = _latest()
    for name, words, column in OF_MACHINES:
        family = GaugeMetricFamily(name, words, labels=("node",))
        for sample in samples:
            _add(family, (sample.node.name,), getattr(sample, column))
        yield family
    for name, words, key in OF_GPUS:
        family = GaugeMetricFamily(name, words, labels=("node", "gpu", "name"))
        for sample in samples:
            for gpu in sample.gpus:
                who = (sample.node.name, str(gpu["index"]), gpu["name"])
                _add(family, who, gpu.get(key))
        yield family


def _latest() -> list[MachineSample]:
    rows = MachineSample.objects.filter(seconds=10, at__gt=timezone.now() - FRESH)
    by_node = {row.node_id: row for row in rows.select_related("node").order_by("at")}
    return list(by_node.values())


def _add(family: GaugeMetricFamily, labels: tuple[str, ...], value: Any) -> None:
    if value is not None:
        family.add_metric(labels, value)
