"""A practice NVML: behaves like the module `pynvml` on a machine of your choice.

Its structures and errors are those of the real module, so that a wrong field name
fails here too. Thread-safe like the real one; counts how often it was opened.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)
    import pynvml

__all__ = ["PracticeGpu", "PracticeNvml", "pynvml"]


@dataclass
class PracticeGpu:
    """`computing` and `drawing` are bytes by process id: None as the number is
    «not available», None as the whole a GPU that does not tell."""

    name: str = "NVIDIA GeForce RTX 3060"
    used: int = 5 << 30
    total: int = 12 << 30
    busy: int | None = 42
    capability: tuple[int, int] | None = (8, 6)
    celsius: int | None = 54
    watts: float | None = 71.5
    computing: dict[int, int | None] | None = field(default_factory=dict)
    drawing: dict[int, int | None] | None = field(default_factory=dict)
    is_lost: bool = False


@dataclass
class PracticeNvml:
    """`failure` is the NVML error code that opening or counting answers with.

    `counted` says how often somebody asked for the number of GPUs. `is_old`: a driver
    that knows only the second form of the lists of processes.
    """

    gpus: list[PracticeGpu] = field(default_factory=lambda: [PracticeGpu()])
    failure: int | None = None
    failure_of_count: int | None = None
    opened: int = 0
    counted: int = 0
    driver: str = "570.86.15"
    is_old: bool = False

    def nvmlInit(self) -> None:
        if self.failure is not None:
            raise pynvml.NVMLError(self.failure)
        self.opened += 1

    def nvmlDeviceGetCount(self) -> int:
        self.counted += 1
        if not self.opened:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        if self.failure_of_count is not None:
            raise pynvml.NVMLError(self.failure_of_count)
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> PracticeGpu:
        if self.gpus[index].is_lost:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return self.gpus[index]

    def nvmlDeviceGetMemoryInfo(self, gpu: PracticeGpu) -> pynvml.c_nvmlMemory_t:
        free = gpu.total - gpu.used
        return pynvml.c_nvmlMemory_t(total=gpu.total, free=free, used=gpu.used)

    def nvmlDeviceGetName(self, gpu: PracticeGpu) -> str:
        return gpu.name

    def nvmlDeviceGetUtilizationRates(
        self, gpu: PracticeGpu
    ) -> pynvml.c_nvmlUtilization_t:
        if gpu.busy is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return pynvml.c_nvmlUtilization_t(gpu=gpu.busy, memory=0)

    def nvmlDeviceGetCudaComputeCapability(self, gpu: PracticeGpu) -> tuple[int, int]:
        if gpu.capability is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return gpu.capability

    def nvmlSystemGetDriverVersion(self) -> str:
        return self.driver

    def nvmlDeviceGetTemperature(self, gpu: PracticeGpu, sensor: int) -> int:
        assert sensor == pynvml.NVML_TEMPERATURE_GPU
        return _told(gpu.celsius)

    def nvmlDeviceGetPowerUsage(self, gpu: PracticeGpu) -> int:
        return int(_told(gpu.watts) * 1000)

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: PracticeGpu) -> list[object]:
        self._refuse_when_old()
        return _listed(gpu.computing)

    def nvmlDeviceGetGraphicsRunningProcesses(self, gpu: PracticeGpu) -> list[object]:
        self._refuse_when_old()
        return _listed(gpu.drawing)

    def nvmlDeviceGetComputeRunningProcesses_v2(self, gpu: PracticeGpu) -> list[object]:
        return _listed(gpu.computing)

    def nvmlDeviceGetGraphicsRunningProcesses_v2(
        self, gpu: PracticeGpu
    ) -> list[object]:
        return _listed(gpu.drawing)

    def _refuse_when_old(self) -> None:
        if self.is_old:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)


def _told(value):
    if value is None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    return value


def _listed(held: dict[int, int | None] | None) -> list[object]:
    """As the real module answers: its own objects, None for «not available»."""
    rows = []
    for pid, size in _told(held).items():
        row = pynvml.c_nvmlProcessInfo_t(pid=pid, usedGpuMemory=size or 0)
        shown = pynvml.nvmlStructToFriendlyObject(row)
        shown.usedGpuMemory = size
        rows.append(shown)
    return rows
