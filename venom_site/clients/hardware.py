"""What this machine has and uses, through psutil; later also GPUs through NVML.

Plain figures for pages and the API. Never raises for something a machine lacks.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Filled:
    """How full a store is; bytes."""

    used_bytes: int
    total_bytes: int


def disk(folder: Path) -> Filled | None:
    """The file system that holds `folder`; None when it cannot be asked."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return Filled(usage.total - usage.free, usage.total)


def memory() -> Filled:
    usage = psutil.virtual_memory()
    return Filled(usage.total - usage.available, usage.total)


def own_memory_bytes() -> int:
    """Resident memory of this process."""
    return int(psutil.Process().memory_info().rss)


def own_uptime_seconds() -> float:
    return max(0.0, time.time() - psutil.Process().create_time())
