"""What models take of this machine: disk, processor, memory, graphics memory.

Read by GET `/models/usage`. Null where a machine has no such thing, never an error.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings

from models_app.models import InstalledModel
from models_app.schemas.models import size_gb
from models_app.services.nodes import this_node
from models_app.services.storage import storage_of
from venom_site.clients import hardware
from venom_site.lib.units import GIB

MIB = GIB // 1024


def usage() -> dict[str, Any]:
    """The fields of docs/api.md: disks in GB, memory in GiB, graphics memory in MiB."""
    return _disk() | _memory() | _graphics() | {"models_count": _count()}


def _count() -> int:
    return InstalledModel.objects.of_profile().of_node(settings.NODE).count()


def _disk() -> dict[str, Any]:
    """What our models take of the quota, not how full the disk is."""
    storage = storage_of(this_node())
    return {
        "disk_usage_gb": size_gb(storage.used_bytes),
        "disk_limit_gb": size_gb(storage.limit_bytes),
        "disk_usage_percent": _percent(storage.used_bytes, storage.limit_bytes),
    }


def _memory() -> dict[str, Any]:
    memory = hardware.memory()
    return {
        "cpu_usage_percent": hardware.cpu_percent(),
        "memory_total_gb": round(memory.total_bytes / GIB, 2),
        "memory_used_gb": round(memory.used_bytes / GIB, 2),
        "memory_usage_percent": _percent(memory.used_bytes, memory.total_bytes),
    }


def _graphics() -> dict[str, Any]:
    gpus = hardware.gpus()
    busy = [g.utilization_percent for g in gpus if g.utilization_percent is not None]
    used = sum(gpu.used_bytes for gpu in gpus)
    total = sum(gpu.total_bytes for gpu in gpus)
    return {
        "gpu_usage_percent": round(sum(busy) / len(busy), 1) if busy else None,
        "vram_usage_mb": round(used / MIB) if gpus else None,
        "vram_total_mb": round(total / MIB) if gpus else None,
        "vram_usage_percent": _percent(used, total) if gpus else None,
        "gpus": [_gpu(gpu) for gpu in gpus],
    }


def _gpu(gpu: hardware.Gpu) -> dict[str, Any]:
    return {
        "index": gpu.index,
        "name": gpu.name,
        "vram_usage_mb": round(gpu.used_bytes / MIB),
        "vram_total_mb": round(gpu.total_bytes / MIB),
        "vram_usage_percent": _percent(gpu.used_bytes, gpu.total_bytes),
        "gpu_usage_percent": gpu.utilization_percent,
    }


def _percent(used: float, total: float) -> float | None:
    return round(100 * used / total, 1) if total else None
