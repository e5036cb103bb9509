"""The shape of `usage.sampled`: what a node and its servers use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from models_app.models import Node
from runtime_app.models import MachineSample, RuntimeSample
from runtime_app.schemas import mib
from venom_site.lib.units import iso


def usage_payload(
    node: Node, machine: MachineSample, samples: Iterable[RuntimeSample]
) -> dict[str, Any]:
    """What a node and its servers use, as docs/api.md shows it."""
    return {
        "node": node.name,
        "at": iso(machine.at),
        "seconds": machine.seconds,
        "cpu_percent": machine.cpu_percent,
        "memory_used_mb": mib(machine.memory_used_bytes),
        "memory_total_mb": mib(machine.memory_total_bytes),
        "gpus": [_gpu_usage(gpu) for gpu in machine.gpus],
        "runtimes": [_runtime_usage(sample) for sample in samples],
    }


def _gpu_usage(gpu: dict[str, Any]) -> dict[str, Any]:
    plain = ("index", "name", "utilization_percent")
    return {name: gpu[name] for name in plain} | {
        "vram_used_mb": mib(gpu["used_bytes"]),
        "vram_total_mb": mib(gpu["total_bytes"]),
    }


def _runtime_usage(sample: RuntimeSample) -> dict[str, Any]:
    return {
        "name": sample.runtime.name,
        "status": sample.status,
        "latency_ms": sample.latency_ms,
        "memory_mb": mib(sample.memory_bytes),
        "vram_mb": mib(sample.vram_bytes),
        "requests_running": sample.requests_running,
        "requests_waiting": sample.requests_waiting,
        "output_tokens_per_second": sample.output_tokens_per_second,
    }
