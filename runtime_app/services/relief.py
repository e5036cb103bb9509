"""What fits once the old model is gone, and which idle models could make room.

Asked before anything is stopped: by the wish, by the plan, and again by the work with
what it sees then. `relieving.py` carries out what `room_for` proposed. Only what our
own rows hold is counted and freed; a foreign process is named, never ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext as _

from models_app.models import InstalledModel
from models_app.services.fit import Fit
from models_app.services.fit_room import Machine
from models_app.services.machine import read_memory
from models_app.services.model_fit import fit_of
from runtime_app.choices import CAN_UNLOAD
from runtime_app.models import Activation, Runtime
from runtime_app.services.activation_way import Way, can_stop
from runtime_app.services.active import active_on
from runtime_app.services.drain import in_flight
from runtime_app.services.runtimes import installed_on
from venom_site.clients import hardware
from venom_site.lib.errors import DoesNotFit, InvalidBody
from venom_site.lib.units import iso, memory_text

ASK, AUTO = "ask", "auto"
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """A model in memory that nobody uses or pinned; `frees_bytes` as last measured."""

    runtime: Runtime
    name: str
    frees_bytes: int
    last_used_at: datetime | None
    provider: str = ""

    def payload(self) -> dict[str, Any]:
        """An entry of `relief` in docs/api.md."""
        return {
            "name": self.name,
            "provider": self.provider or self.runtime.provider,
            "runtime": self.runtime.name,
            "frees_bytes": self.frees_bytes,
            "last_used_at": iso(self.last_used_at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """`fits` as things will be once `relief` has left. `is_beside`: also while the
    former model stays. `warning`: it does not fit, but nobody is kept from trying."""

    fits: bool = True
    is_beside: bool = True
    relief: tuple[Idle, ...] = ()
    fit: Fit | None = None
    warning: str = ""
    lacks_gpu: bool = False


def refuse_unknown_policy(relief: str) -> None:
    if relief not in {ASK, AUTO}:
        raise InvalidBody(
            _("“Relief” is “ask” or “auto”."),
            errors=[{"loc": "body.relief", "message": "must be ask or auto"}],
        )


def room_for(
    runtime: Runtime, way: Way, former: Activation | None, *, leaves: bool
) -> Room:
    """`leaves`: the former model goes in the end, and its memory counts as free."""
    installed = way.installed
    is_held = not way.starts and runtime.in_memory(way.served) is not None
    if installed is None or is_held:
        return Room()
    machine = replace(read_memory(), held_bytes=0)
    own = _held_by(runtime) if way.restarts else 0
    gone = own + (_freed_by(former) if former and leaves else 0)
    judged = _Judge(installed, machine)
    if judged.runs_well(own):
        return Room(fit=judged.at(own))
    if judged.runs_well(gone):
        return Room(fit=judged.at(gone), is_beside=False)
    chosen = _enough(judged, gone, idle_models(runtime, way, former))
    if chosen:
        return Room(fit=judged.at(gone), is_beside=False, relief=chosen, fits=False)
    return _no_room(judged, gone)


def room_to_load(runtime: Runtime, model: str) -> Room:
    """For one that is loaded beside what is there: nothing leaves of itself."""
    way = Way(name=model, served=model, installed=installed_on(runtime, model))
    return room_for(runtime, way, active_on(runtime.node_id), leaves=False)


class _Judge:
    """The verdict on one model, with so many bytes more than are free now."""

    def __init__(self, installed: InstalledModel, machine: Machine) -> None:
        self.installed, self.machine = installed, machine

    @property
    def is_strict(self) -> bool:
        """Without a GPU memory can be swapped: that is slow, not impossible."""
        return bool(self.machine.gpus) or bool(self.installed.requires_gpu)

    def at(self, freed: int) -> Fit | None:
        return fit_of(self.installed, self._with(freed))

    def runs(self, freed: int) -> bool:
        """At all: also half on the GPU, which is slow. What nobody knows may try."""
        if self.installed.requires_gpu and not self.machine.gpus:
            return False
        fit = self.at(freed)
        return fit is None or fit.verdict == "unknown" or fit.loads

    def runs_well(self, freed: int) -> bool:
        fit = self.at(freed)
        return self.runs(freed) and (fit is None or fit.verdict != "partial")

    def _with(self, freed: int) -> Machine:
        machine = self.machine
        if machine.gpus:
            return replace(machine, held_bytes=freed)
        free = min(machine.memory_total_bytes, machine.memory_free_bytes + freed)
        return replace(machine, memory_free_bytes=free)


def _enough(judged: _Judge, gone: int, idle: Sequence[Idle]) -> tuple[Idle, ...]:
    """The longest unused that are needed for it to run well; none where all together
    would not do."""
    chosen: list[Idle] = []
    for each in idle:
        chosen.append(each)
        gone += each.frees_bytes
        if judged.runs_well(gone):
            return tuple(chosen)
    return ()


def _no_room(judged: _Judge, gone: int) -> Room:
    fit = judged.at(gone)
    if judged.is_strict and not judged.runs(gone):
        lacks_gpu = not judged.machine.gpus
        return Room(fits=False, is_beside=False, fit=fit, lacks_gpu=lacks_gpu)
    words = _("It needs %(needed)s of memory and %(free)s are free: it will be slow.")
    return Room(fit=fit, is_beside=False, warning=words % _figures(fit))


def _figures(fit: Fit | None) -> dict[str, str]:
    return {
        "needed": memory_text(fit.needed_bytes if fit else 0),
        "free": memory_text(fit.available_bytes if fit else 0),
    }


def refuse_without_room(
    runtime: Runtime, model: str, room: Room, *, relief: str
) -> None:
    """Raises `does_not_fit`: `relief[]` are the models that would have to leave."""
    if room.fits or (room.relief and relief == AUTO):
        return
    raise DoesNotFit(
        _sentence(runtime, model, room),
        limit="memory",
        needed_bytes=room.fit.needed_bytes if room.fit else None,
        free_bytes=room.fit.available_bytes if room.fit else None,
        relief=[each.payload() for each in room.relief],
        holders=holders(runtime),
    )


def _sentence(runtime: Runtime, model: str, room: Room) -> str:
    words = {"model": model, "runtime": runtime.display_name} | _figures(room.fit)
    if room.lacks_gpu:
        return _without_gpu(words)
    told = _(
        "“%(model)s” needs %(needed)s on %(runtime)s and %(free)s are free, also when "
        "the former model has left."
    )
    if room.relief:
        words["names"] = ", ".join(each.name for each in room.relief)
        told += " " + _("Unloading %(names)s makes room: ask again with relief “auto”.")
    owners = holders(runtime)
    if owners and not room.relief:
        words["owner"] = ", ".join(str(each["command"]) for each in owners)
        words["user"] = str(owners[0]["user"])
        told += " " + _(
            "%(owner)s of %(user)s holds memory and is not ours to stop: stop it there."
        )
    return told % words


def _without_gpu(words: dict[str, str]) -> str:
    """None there, or none seen: a driver that was replaced under us looks the same."""
    if fault := hardware.gpu_fault():
        told = _(
            "“%(model)s” needs a GPU, and the library of the driver fails "
            "(%(fault)s). See what nvidia-smi says; after an update of the driver "
            "the machine has to start anew."
        )
        return told % (words | {"fault": fault})
    return _("“%(model)s” needs a GPU, and this machine has none.") % words


def holders(runtime: Runtime) -> list[dict[str, Any]]:
    """The foreign processes that stand where servers of this node would."""
    rows = Runtime.objects.filter(node_id=runtime.node_id).exclude(holder={})
    return [{"runtime": row.name, **row.holder} for row in rows]


# What is in memory


def idle_models(runtime: Runtime, way: Way, former: Activation | None) -> list[Idle]:
    """In order of last use: what nobody pinned, asks or has made active."""
    rows = Runtime.objects.of_profile().filter(node_id=runtime.node_id)
    found = [
        idle
        for row in rows.select_related("node")
        if not (way.restarts and row.pk == runtime.pk)
        for idle in _idle_on(row, former)
        if (row.pk, idle.name) != (runtime.pk, way.served)
    ]
    return sorted(found, key=lambda idle: idle.last_used_at or _LONG_AGO)


def _idle_on(row: Runtime, former: Activation | None) -> list[Idle]:
    if row.kind not in CAN_UNLOAD and not can_stop(row):
        return []
    kept = former.served_name if former and former.runtime_id == row.pk else None
    return [
        idle
        for entry in row.loaded_models
        if entry["name"] != kept and (idle := _idle(row, entry)) is not None
    ]


def _idle(row: Runtime, entry: dict[str, Any]) -> Idle | None:
    installed = installed_on(row, entry["name"])
    if (installed and installed.pinned) or in_flight(row.name, entry["name"]):
        return None
    return Idle(
        runtime=row,
        name=entry["name"],
        frees_bytes=_bytes_of(row, entry),
        last_used_at=installed.last_used_at if installed else None,
        provider=installed.provider if installed else "",
    )


def _bytes_of(row: Runtime, entry: dict[str, Any]) -> int:
    """Graphics memory where there is a GPU; of a server that names no sizes, all that
    its process was seen to take."""
    if read_memory().gpus:
        return int(entry.get("size_vram_bytes") or row.vram_bytes or 0)
    return int(entry.get("size_bytes") or row.memory_bytes or 0)


def _held_by(row: Runtime) -> int:
    if row.kind not in CAN_UNLOAD:
        return _bytes_of(row, {})
    return sum(_bytes_of(row, entry) for entry in row.loaded_models)


def _freed_by(former: Activation) -> int:
    entry = former.runtime.in_memory(former.served_name)
    return _bytes_of(former.runtime, entry) if entry else 0


def is_idle(runtime: Runtime, name: str) -> bool:
    """Still: nobody has begun to use or pinned it since it was proposed."""
    return _idle(runtime, {"name": name}) is not None
