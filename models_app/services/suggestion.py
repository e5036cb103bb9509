"""Which model to offer on a machine that has none: the largest Gemma 3 that fits.

`choose` decides from figures alone, by the rule of `fit_need.py`; `suggested_model`
reads the figures of this machine. Called by the pages of an empty installation.
Downloads nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _

from models_app.choices import PROFILE_PROVIDERS, ProviderName
from models_app.services.fit_need import offer_need
from models_app.services.nodes import this_node
from models_app.services.storage import DISK_RESERVE_BYTES, Storage, storage_of
from venom_site.clients import hardware
from venom_site.lib.units import memory_text, size_text


@dataclass(frozen=True, slots=True)
class Variant:
    name: str
    size_bytes: int
    on_cpu: bool  # quick enough without a GPU


# Sizes of the default quantization (Q4_K_M) in Ollama's library, November 2026.
VARIANTS = (
    Variant("gemma3:270m", 290_000_000, on_cpu=True),
    Variant("gemma3:1b", 820_000_000, on_cpu=True),
    Variant("gemma3:4b", 3_340_000_000, on_cpu=True),
    Variant("gemma3:12b", 8_150_000_000, on_cpu=False),
    Variant("gemma3:27b", 17_400_000_000, on_cpu=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is free on a machine, in bytes; null where nobody knows."""

    disk_bytes: int | None
    quota_bytes: int
    memory_bytes: int
    gpu_bytes: int | None = None

    @property
    def store_bytes(self) -> int:
        """What a download may take."""
        if self.disk_bytes is None:
            return self.quota_bytes
        return min(self.quota_bytes, self.disk_bytes - DISK_RESERVE_BYTES)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A name to install, its size, and a translated sentence that says why."""

    name: str
    size_bytes: int
    sentence: str


def suggested_model() -> Suggestion | None:
    """What fits here now; None when nothing does or the profile installs nothing."""
    if ProviderName.OLLAMA not in PROFILE_PROVIDERS[settings.RUNTIME_PROFILE]:
        return None
    return suggestion_for(read_room(storage_of(this_node())))


def read_room(storage: Storage) -> Room:
    """The figures of this machine; of several GPUs the one with the most free."""
    memory = hardware.memory()
    return Room(
        disk_bytes=storage.disk_free_bytes,
        quota_bytes=storage.free_bytes,
        memory_bytes=memory.total_bytes - memory.used_bytes,
        gpu_bytes=max((gpu.free_bytes for gpu in hardware.gpus()), default=None),
    )


def choose(room: Room) -> Variant | None:
    """The largest on the GPU, else the largest that runs well without one."""
    stored = [v for v in VARIANTS if v.size_bytes <= room.store_bytes]
    on_gpu = [v for v in stored if _on_gpu(v, room)]
    fitting = on_gpu or [v for v in stored if _in_memory(v, room)]
    return max(fitting, key=lambda v: v.size_bytes, default=None)


def _on_gpu(variant: Variant, room: Room) -> bool:
    needed = offer_need(variant.size_bytes, on_gpu=True)
    return room.gpu_bytes is not None and needed <= room.gpu_bytes


def _in_memory(variant: Variant, room: Room) -> bool:
    needed = offer_need(variant.size_bytes, on_gpu=False)
    return variant.on_cpu and needed <= room.memory_bytes


def suggestion_for(room: Room) -> Suggestion | None:
    variant = choose(room)
    if variant is None:
        return None
    words = (
        _("%(name)s (%(size)s) fits this machine: %(free)s free on its GPU.")
        if _on_gpu(variant, room)
        else _("%(name)s (%(size)s) fits this machine: %(free)s of memory free.")
    )
    free = room.gpu_bytes if _on_gpu(variant, room) else room.memory_bytes
    size = size_text(variant.size_bytes)
    named = {"name": variant.name, "size": size, "free": memory_text(free)}
    return Suggestion(variant.name, variant.size_bytes, words % named)


def obstacle(room: Room) -> str:
    """What stands in the way of the smallest; empty when it fits."""
    smallest = VARIANTS[0]
    named = {"name": smallest.name, "size": size_text(smallest.size_bytes)}
    if smallest.size_bytes > room.quota_bytes:
        words = _(
            "The smallest suggested model, %(name)s, needs %(size)s, and "
            "MODELS_MAX_DISK_GB leaves %(free)s. Raise it or remove a model."
        )
        return words % (named | {"free": size_text(room.quota_bytes)})
    if smallest.size_bytes > room.store_bytes:
        words = _(
            "The smallest suggested model, %(name)s, needs %(size)s, and the disk has "
            "%(free)s left beside a reserve of %(reserve)s. Free some space first."
        )
        named["reserve"] = size_text(DISK_RESERVE_BYTES)
        return words % (named | {"free": size_text(max(0, room.store_bytes))})
    if choose(room) is None:
        words = _(
            "The smallest suggested model, %(name)s, needs more memory than the "
            "%(free)s that are free now. Close other programs and look again."
        )
        return words % (named | {"free": memory_text(room.memory_bytes)})
    return ""
