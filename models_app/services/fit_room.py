"""What a machine has room for, and how its runtimes are set: the types of `fit.py`.

Pure. `machine.py` fills them from the hardware and the settings; bytes everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

Place = Literal["gpu", "memory", ""]

USABLE_SHARE = 0.95  # of what is free: allocators round up, desktops draw
ANOTHER_GPU_BYTES = 1 << 29  # a CUDA context on each further GPU: 0.3 to 0.6 GiB


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRoom:
    """One GPU; `capability` is CUDA's (8, 6), None where the driver is silent."""

    index: int
    name: str
    free_bytes: int
    total_bytes: int
    capability: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How a runtime serves. `context` in tokens, None: as long as the model allows.
    `gpu_share` is what vLLM takes of a GPU whatever the model."""

    context: int | None = None
    parallel: int = 1
    kv_type: str = "f16"
    gpu_share: float = 0.92
    dtype: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """`store_free_bytes` is what a download may take: quota or disk, the smaller.
    `held_bytes` is graphics memory that our own runtimes give back for another model.
    """

    gpus: tuple[GpuRoom, ...] = ()
    memory_free_bytes: int
    memory_total_bytes: int
    store_free_bytes: int
    held_bytes: int = 0
    ollama: Serving = Serving(context=8192)
    vllm: Serving = Serving()

    def serving(self, runtime: str) -> Serving:
        """Everything but vLLM runs on llama.cpp."""
        return self.vllm if runtime == "vllm" else self.ollama

    @property
    def one_gpu(self) -> GpuRoom | None:
        """The largest: CUDA counts the fastest first, and tensor parallel 1 takes
        that one."""
        return max(self.gpus, key=lambda gpu: gpu.total_bytes, default=None)

    def empty(self) -> Machine:
        """The same machine if nobody else used its memory."""
        gpus = tuple(replace(gpu, free_bytes=gpu.total_bytes) for gpu in self.gpus)
        memory = self.memory_total_bytes
        return replace(self, gpus=gpus, memory_free_bytes=memory, held_bytes=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """Where a runtime can put a model: `first` is where it runs well, `both` where it
    runs at all. `lacks_start` is what must be freed before it starts at all."""

    place: Place
    first: int
    both: int
    lacks_start: int = 0


def _spread_room(machine: Machine) -> int:
    """Graphics memory that Ollama can use: it spreads a model over all GPUs."""
    if not machine.gpus:
        return 0
    total = sum(gpu.total_bytes for gpu in machine.gpus)
    free = sum(gpu.free_bytes for gpu in machine.gpus) + machine.held_bytes
    further = ANOTHER_GPU_BYTES * (len(machine.gpus) - 1)
    spread = int(USABLE_SHARE * min(total, free)) - further
    alone = max(gpu.free_bytes for gpu in machine.gpus)
    return max(0, spread, int(USABLE_SHARE * alone))


def _memory_room(machine: Machine) -> int:
    return int(USABLE_SHARE * machine.memory_free_bytes)


def _vllm_budget(machine: Machine) -> int:
    """What vLLM takes of its one GPU; 0 without a GPU."""
    gpu = machine.one_gpu
    return int(machine.vllm.gpu_share * gpu.total_bytes) if gpu else 0


def _vllm_free(machine: Machine) -> int:
    """What that GPU has free when vLLM starts. Of several GPUs nobody knows which one
    our runtimes hold, so that only on a single one their share counts."""
    gpu = machine.one_gpu
    if gpu is None:
        return 0
    held = machine.held_bytes if len(machine.gpus) == 1 else 0
    return min(gpu.total_bytes, gpu.free_bytes + held)


@lru_cache(maxsize=64)
def rooms_of(machine: Machine, runtime: str) -> Rooms:
    memory = _memory_room(machine)
    if not machine.gpus:
        return Rooms(place="memory", first=memory, both=memory)
    if runtime == "vllm":
        budget, free = _vllm_budget(machine), _vllm_free(machine)
        return Rooms(
            place="gpu", first=budget, both=budget, lacks_start=max(0, budget - free)
        )
    gpu = _spread_room(machine)
    return Rooms(place="gpu", first=gpu, both=gpu + memory)
