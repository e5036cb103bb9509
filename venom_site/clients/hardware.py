"""What this machine has and uses: psutil for disk and memory, NVML for GPUs.

Plain figures for pages, samples and the API. Never raises for something a machine
lacks. What NVML is asked stands in `nvml.py`.
"""

from __future__ import annotations

import ctypes
import shutil
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from venom_site.clients.gpus import Gpu, ProcessesOfGpus

if TYPE_CHECKING:
    from venom_site.clients.nvml import GpuReader

__all__ = ["Filled", "Gpu", "ProcessesOfGpus", "gpus"]

NVML = "libnvidia-ml.so.1"


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


def cpu_percent() -> float:
    """How busy all processors were since this was asked last; 0 the first time."""
    return float(psutil.cpu_percent(interval=None))


class CpuMeter:
    """How busy all processors were since it was read last, whichever thread reads:
    psutil's own measure remembers each thread's last question apart."""

    def __init__(self) -> None:
        self._before: tuple[float, float] | None = None

    def read(self) -> float | None:
        """A percentage; None at first, and when no time has passed."""
        now, before = self._counted(), self._before
        self._before = now
        if before is None or now[0] <= before[0]:
            return None
        share = (now[1] - before[1]) / (now[0] - before[0])
        return round(100 * min(1.0, max(0.0, share)), 1)

    def _counted(self) -> tuple[float, float]:
        """Seconds in all and busy ones; guests' are part of the user's."""
        times = psutil.cpu_times()._asdict()
        whole = sum(v for name, v in times.items() if not name.startswith("guest"))
        return whole, whole - times["idle"] - times.get("iowait", 0.0)


def own_memory_bytes() -> int:
    """Resident memory of this process."""
    return int(psutil.Process().memory_info().rss)


def own_uptime_seconds() -> float:
    return max(0.0, time.time() - psutil.Process().create_time())


def _reader() -> GpuReader | None:
    """None where no driver is; one that is installed later is found."""
    try:
        ctypes.CDLL(NVML)
    except OSError:
        return None
    return _opened()


@lru_cache(maxsize=1)
def _opened() -> GpuReader:
    from venom_site.clients.nvml import open_reader

    return open_reader()


def gpus() -> list[Gpu]:
    """The GPUs of this machine that NVML shows; none is an empty list."""
    reader = _reader()
    return reader.read() if reader else []


def gpu_fault() -> str:
    """Why GPUs that should be there are not seen, in the driver's own words; empty
    where they are seen, and where there are none."""
    reader = _reader()
    return reader.fault if reader else ""


def gpu_processes() -> ProcessesOfGpus:
    """GPU memory by process; empty where there is no GPU or it does not tell."""
    reader = _reader()
    return reader.processes() if reader else ProcessesOfGpus()
