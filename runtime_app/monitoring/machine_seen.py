"""One look at this machine: processor, memory, GPUs and who holds their memory.

A broken GPU driver may let its caller wait for ever: it is asked in a thread, and left
alone until that thread has come back.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from venom_site.clients import hardware
from venom_site.clients.hardware import Filled, Gpu, ProcessesOfGpus

GPU_SECONDS = 3.0
IN_SAMPLES = (
    "index",
    "name",
    "used_bytes",
    "total_bytes",
    "utilization_percent",
    "temperature_celsius",
    "power_watts",
)

GpusSeen = tuple[list[Gpu], ProcessesOfGpus]
NO_GPUS: GpusSeen = ([], ProcessesOfGpus())


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSeen:
    """`cpu_percent` is since the look before; None at the first."""

    cpu_percent: float | None
    memory: Filled
    gpus: list[Gpu] = field(default_factory=list)
    processes: ProcessesOfGpus = field(default_factory=ProcessesOfGpus)

    def gpu_rows(self) -> list[dict[str, Any]]:
        """The GPUs as samples keep them."""
        rows = (asdict(gpu) for gpu in self.gpus)
        return [{name: row[name] for name in IN_SAMPLES} for row in rows]


class MachineEye:
    def __init__(self) -> None:
        self._cpu = hardware.CpuMeter()
        self._gpus_asked = threading.Lock()

    def look(self) -> MachineSeen:
        gpus, held = self._gpus()
        return MachineSeen(
            cpu_percent=self._cpu.read(),
            memory=hardware.memory(),
            gpus=gpus,
            processes=held,
        )

    def _gpus(self) -> GpusSeen:
        """None while an earlier question is not answered yet, or takes too long."""
        if not self._gpus_asked.acquire(blocking=False):
            return NO_GPUS
        found: SimpleQueue[GpusSeen] = SimpleQueue()
        threading.Thread(target=self._ask, args=(found,), daemon=True).start()
        try:
            return found.get(timeout=GPU_SECONDS)
        except Empty:
            return NO_GPUS

    def _ask(self, found: SimpleQueue[GpusSeen]) -> None:
        try:
            gpus = hardware.gpus()
            found.put((gpus, hardware.gpu_processes() if gpus else ProcessesOfGpus()))
        finally:
            self._gpus_asked.release()
