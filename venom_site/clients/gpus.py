"""GPUs and who holds their memory, as `nvml.py` reads them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as its driver counts it; None where it will not say. `capability` is
    CUDA's compute capability, (8, 6) for an RTX 3060."""

    index: int
    name: str
    used_bytes: int
    total_bytes: int
    utilization_percent: int | None
    capability: tuple[int, int] | None = None
    temperature_celsius: int | None = None
    power_watts: float | None = None

    @property
    def free_bytes(self) -> int:
        return max(0, self.total_bytes - self.used_bytes)


@dataclass(frozen=True, slots=True)
class ProcessesOfGpus:
    """Bytes of GPU memory by process id, over all GPUs. A process that is listed
    without a number (Windows' driver model, MIG without rights) is not in it.

    Inside a container NVML may list nobody: an empty table is «not known».
    """

    bytes_of: dict[int, int] = field(default_factory=dict)

    def held_by(self, pids: Iterable[int]) -> int | None:
        """What these processes hold together; None where nothing is known."""
        if not self.bytes_of:
            return None
        return sum(self.bytes_of.get(pid, 0) for pid in set(pids))
