"""What this machine has room for now, and how its runtimes are set.

Read by whatever shows a fit: once for a page, however many models it lists. What the
hardware says is kept for two seconds, the store is read each time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.conf import settings

from models_app.models import Node
from models_app.services.fit_room import GpuRoom, Machine, Serving
from models_app.services.nodes import this_node
from models_app.services.storage import DISK_RESERVE_BYTES, Storage, storage_of
from venom_site.clients import hardware
from venom_site.lib.kept import Kept

__all__ = ["GpuRoom", "Machine", "Serving", "read_machine", "read_memory"]

KEPT_SECONDS = 2.0
VLLM_GPU_SHARE = 0.92  # vLLM's own default since 2026
# What each tuning profile of Ollama stands for, as docs/configuration.md has them.
OLLAMA_PROFILES = {
    "balanced-12-24gb": Serving(context=32_768, parallel=2, kv_type="q8_0"),
    "low-vram-8-12gb": Serving(context=16_384, parallel=1, kv_type="q4_0"),
    "max-context-24gb-plus": Serving(context=65_536, parallel=1, kv_type="q8_0"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hardware:
    gpus: tuple[hardware.Gpu, ...]
    memory: hardware.Filled
    held_bytes: int


def _read_hardware() -> _Hardware:
    gpus = tuple(hardware.gpus())
    held = _held() if gpus else 0
    return _Hardware(gpus=gpus, memory=hardware.memory(), held_bytes=held)


_hardware = Kept(_read_hardware, at_least=KEPT_SECONDS)


def read_machine(storage: Storage | None = None) -> Machine:
    """This machine as of now; who has the figures of the store at hand gives them."""
    store = storage or storage_of(this_node())
    return replace(read_memory(), store_free_bytes=_store_free(store))


def read_memory() -> Machine:
    """The same without its store, for models that lie in it already."""
    seen = _hardware.get()
    memory = seen.memory
    return Machine(
        gpus=tuple(map(_room_of, seen.gpus)),
        memory_free_bytes=memory.total_bytes - memory.used_bytes,
        memory_total_bytes=memory.total_bytes,
        store_free_bytes=0,
        held_bytes=seen.held_bytes,
        ollama=ollama_serving(),
        vllm=vllm_serving(),
    )


def _room_of(gpu: hardware.Gpu) -> GpuRoom:
    return GpuRoom(
        index=gpu.index,
        name=gpu.name,
        free_bytes=gpu.free_bytes,
        total_bytes=gpu.total_bytes,
        capability=gpu.capability,
    )


def _store_free(storage: Storage) -> int:
    """What quota and disk leave, whichever is less."""
    if storage.disk_free_bytes is None:
        return storage.free_bytes
    return max(0, min(storage.free_bytes, storage.disk_free_bytes - DISK_RESERVE_BYTES))


def _held() -> int:
    """Graphics memory under the models that our runtimes were last seen to hold: they
    leave it for another one. A server that is away holds nothing any more."""
    rows = Node.objects.filter(name=settings.NODE)
    held = rows.values_list("runtimes__status", "runtimes__loaded_models")
    entries = (
        entry
        for status, loaded in held
        for entry in loaded or ()
        if status != "offline"
    )
    return sum(entry.get("size_vram_bytes") or 0 for entry in entries)


def ollama_serving() -> Serving:
    """The chosen profile, less what single settings say otherwise. A quantized cache
    needs flash attention: without it Ollama keeps 16 bits."""
    env = settings.ENV
    profile = OLLAMA_PROFILES[env.VENOM_OLLAMA_PROFILE]
    has_flash = env.OLLAMA_FLASH_ATTENTION is not False
    kv_type = env.OLLAMA_KV_CACHE_TYPE or profile.kv_type
    return Serving(
        context=env.OLLAMA_CONTEXT_LENGTH or profile.context,
        parallel=env.OLLAMA_NUM_PARALLEL or profile.parallel,
        kv_type=kv_type if has_flash else "f16",
    )


def vllm_serving() -> Serving:
    env = settings.ENV
    return Serving(
        context=env.VLLM_MAX_MODEL_LEN,
        kv_type="auto",
        gpu_share=env.VLLM_GPU_MEMORY_UTILIZATION or VLLM_GPU_SHARE,
        dtype=env.VLLM_DTYPE or "auto",
    )
