"""GPUs as NVML shows them: memory, load, heat, and who holds how much.

Loaded only where the driver's library is: the module that speaks to it takes 9 MB.

Every fault of library, driver or GPU means «absent»: nothing here raises. Facts: the
NVML API reference and nvidia-ml-py 13, whose plain names call the newest (v3) variants.
"""

from __future__ import annotations

import ctypes
import logging
import threading
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from venom_site.clients.gpus import Gpu, ProcessesOfGpus

with warnings.catch_warnings():
    # The package of this name is a shim over nvidia-ml-py and says so at each import.
    warnings.simplefilter("ignore", FutureWarning)
    import pynvml

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

# A library that is broken or half replaced fails in other ways than its own: a symbol
# that is missing, a name that is no text, a structure of another size.
FAULTS = (
    *(pynvml.NVMLError, OSError, AttributeError, TypeError, ValueError),
    *(LookupError, ArithmeticError, RuntimeError, ctypes.ArgumentError),
)
# What a machine without a GPU answers: nothing is wrong with it.
_ABSENT = (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

# What a driver answers in place of a number: NVML_VALUE_NOT_AVAILABLE, 64 bits of ones.
NOT_AVAILABLE = (1 << 64) - 1
# The names of one question, newest first: older drivers know only the later ones.
COMPUTE = (
    "nvmlDeviceGetComputeRunningProcesses",
    "nvmlDeviceGetComputeRunningProcesses_v2",
)
GRAPHICS = (
    "nvmlDeviceGetGraphicsRunningProcesses",
    "nvmlDeviceGetGraphicsRunningProcesses_v2",
)


class GpuReader:
    """Asks NVML, which is opened once: without a persistent driver that takes seconds.

    `library` is the module `pynvml` or something that behaves like it. A machine
    without library, driver or GPU has none, and is asked again next time.
    """

    def __init__(self, library: Any) -> None:
        self._nvml = library
        self._is_open = False
        self._lock = threading.Lock()
        self._fault = ""

    @property
    def fault(self) -> str:
        """What the library or driver failed with at the last look, in its own words;
        empty where it answered, and where there is none."""
        return self._fault

    def read(self) -> list[Gpu]:
        failed: list[Exception] = []
        found = [self._gpu(index, failed) for index in range(self._count(failed))]
        self._note(failed[0] if failed else None)
        return [gpu for gpu in found if gpu is not None]

    def driver_version(self) -> str | None:
        """Such as 570.86.15; None without a driver."""
        if not self._count():
            return None
        return _asked(lambda: str(self._nvml.nvmlSystemGetDriverVersion()))

    def processes(self) -> ProcessesOfGpus:
        """One that computes and draws is listed twice with the same memory: the larger
        number counts. Memory on several GPUs adds up."""
        held: dict[int, int] = {}
        for index in range(self._count()):
            for pid, size in self._held_on(index).items():
                held[pid] = held.get(pid, 0) + size
        return ProcessesOfGpus(held)

    def _count(self, failed: list[Exception] | None = None) -> int:
        try:
            self._open()
            return int(self._nvml.nvmlDeviceGetCount())
        except FAULTS as error:
            # The driver may have been replaced under us: begin anew next time.
            self._is_open = False
            if failed is not None:
                failed.append(error)
            return 0

    def _note(self, error: Exception | None) -> None:
        """Said once in the log, when it begins."""
        is_absent = getattr(error, "value", None) in _ABSENT
        fault = "" if error is None or is_absent else _words(error)
        if fault and fault != self._fault:
            logger.warning("gpu library fails %s", fault)
        self._fault = fault

    def _open(self) -> None:
        with self._lock:
            if not self._is_open:
                self._nvml.nvmlInit()
                self._is_open = True

    def _gpu(self, index: int, failed: list[Exception]) -> Gpu | None:
        """None for one that fell off the bus or keeps its memory to itself."""
        try:
            handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
            filled = self._nvml.nvmlDeviceGetMemoryInfo(handle)
            name = str(self._nvml.nvmlDeviceGetName(handle))
            used, total = int(filled.used), int(filled.total)
        except FAULTS as error:
            failed.append(error)
            return None
        return Gpu(
            index,
            name,
            used,
            total,
            _asked(lambda: int(self._nvml.nvmlDeviceGetUtilizationRates(handle).gpu)),
            _asked(lambda: self._capability(handle)),
            _asked(lambda: self._temperature(handle)),
            _asked(lambda: self._nvml.nvmlDeviceGetPowerUsage(handle) / 1000),
        )

    def _capability(self, handle: Any) -> tuple[int, int]:
        major, minor = self._nvml.nvmlDeviceGetCudaComputeCapability(handle)
        return int(major), int(minor)

    def _temperature(self, handle: Any) -> int:
        sensor = pynvml.NVML_TEMPERATURE_GPU
        return int(self._nvml.nvmlDeviceGetTemperature(handle, sensor))

    def _held_on(self, index: int) -> dict[int, int]:
        handle = _asked(lambda: self._nvml.nvmlDeviceGetHandleByIndex(index))
        held: dict[int, int] = {}
        if handle is None:
            return held
        for names in (COMPUTE, GRAPHICS):
            for process in self._listed(handle, names):
                size = process.usedGpuMemory
                if size is not None and size < NOT_AVAILABLE:
                    held[process.pid] = max(held.get(process.pid, 0), int(size))
        return held

    def _listed(self, handle: Any, names: tuple[str, ...]) -> list[Any]:
        """By the newest call that this driver knows; nobody where it knows none."""
        for name in names:
            listed = _asked(partial(self._list, name, handle))
            if listed is not None:
                return listed
        return []

    def _list(self, name: str, handle: Any) -> list[Any]:
        return list(getattr(self._nvml, name)(handle))


def open_reader() -> GpuReader:
    """One on the real library."""
    return GpuReader(pynvml)


def _words(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__


def _asked(ask: Callable[[], Answer]) -> Answer | None:
    """None for what this driver or GPU does not tell."""
    try:
        return ask()
    except FAULTS:
        return None
