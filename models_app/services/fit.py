"""Whether a model fits this machine: a verdict, the numbers behind it, by context.

Pure: figures of the model and of the machine in, a `Fit` out. Lists, pages, the install
check and the API all ask here, so that no two of them disagree. An estimate is kept
apart from what was measured, which wins at its own context.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from models_app.providers.figures import ModelFigures
from models_app.services.fit_need import Need, kv_bytes, need_of
from models_app.services.fit_room import (
    GpuRoom,
    Machine,
    Place,
    Rooms,
    Serving,
    rooms_of,
)

__all__ = [
    "ContextFit",
    "Fit",
    "GpuRoom",
    "Machine",
    "Serving",
    "contexts_that_fit",
    "fit_payload",
    "judge",
    "kv_bytes",
]

Verdict = Literal["fits", "tight", "partial", "too_big", "unknown"]

SHORTEST_CONTEXT = 2048  # less is of no use for a chat
CONTEXT_STEP = 1024
USUAL_CONTEXT = 8192
CONTEXTS = tuple(4096 << power for power in range(9))  # 4k to 1M


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A verdict: `fits`; `tight`, only up to `longest_context`; `partial`, on GPU and
    memory together (slow); `too_big`, by `missing_bytes`; `unknown`.

    `needed_bytes` is meant at `context` tokens, None where only the size of the files
    is known (`is_rough`). `is_busy`: it would fit if others freed their memory.
    `store_ok`: a download fits quota and disk.
    """

    verdict: Verdict
    needed_bytes: int = 0
    available_bytes: int = 0
    context: int | None = None
    longest_context: int | None = None
    place: Place = ""
    is_measured: bool = False
    is_rough: bool = False
    is_busy: bool = False
    store_ok: bool = True
    weights_bytes: int = 0

    @property
    def missing_bytes(self) -> int:
        """What is lacking; 0 where it fits, and where it fits in part."""
        if self.verdict != "too_big":
            return 0
        return max(0, self.needed_bytes - self.available_bytes)

    @property
    def left_bytes(self) -> int:
        """What stays free beside it."""
        return max(0, self.available_bytes - self.needed_bytes)

    @property
    def loads(self) -> bool:
        """Whether it can run here at all, be it slowly or with a shorter context."""
        return self.verdict in ("fits", "tight", "partial")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextFit:
    """One length on the model's page."""

    context: int
    needed_bytes: int
    available_bytes: int
    fits: bool
    is_measured: bool


def judge(
    figures: ModelFigures | None,
    machine: Machine,
    *,
    runtime: str,
    context: int | None = None,
    size_bytes: int | None = None,
    measured: tuple[int, int] | None = None,
    is_here: bool = False,
) -> Fit:
    """The verdict at `context`, or at what the runtime is set to.

    `size_bytes` is the size of the files, exact where known; `measured` is (bytes,
    context) of an earlier load. `is_here`: the files need no room any more.
    """
    store_ok = is_here or (size_bytes or 0) <= machine.store_free_bytes
    need = _need(figures, machine, runtime, size_bytes, measured)
    if need is None:
        return Fit(verdict="unknown", store_ok=store_ok)
    wanted = _wanted(need, machine.serving(runtime), context)
    found = _judge(need, rooms_of(machine, runtime), wanted)
    return replace(
        found,
        store_ok=store_ok,
        is_busy=found.verdict != "fits" and _fits_alone(need, machine, runtime, wanted),
        weights_bytes=(figures.weights_bytes if figures else 0) or size_bytes or 0,
    )


def contexts_that_fit(
    figures: ModelFigures | None,
    machine: Machine,
    *,
    runtime: str,
    size_bytes: int | None = None,
    measured: tuple[int, int] | None = None,
) -> list[ContextFit]:
    """Each usual length up to the model's own, which is the last one; [] where the
    figures do not say how the memory grows."""
    need = _need(figures, machine, runtime, size_bytes, measured)
    if need is None or need.is_rough or not need.longest:
        return []
    rooms = rooms_of(machine, runtime)
    room = 0 if rooms.lacks_start else rooms.first
    shown = [each for each in CONTEXTS if each < need.longest]
    return [
        ContextFit(
            context=each,
            needed_bytes=need.at(each),
            available_bytes=rooms.first,
            fits=need.at(each) <= room,
            is_measured=need.is_measured_at(each),
        )
        for each in [*shown, need.longest]
    ]


def _need(
    figures: ModelFigures | None,
    machine: Machine,
    runtime: str,
    size_bytes: int | None,
    measured: tuple[int, int] | None,
) -> Need | None:
    return need_of(
        figures,
        machine.serving(runtime),
        runtime=runtime,
        on_gpu=bool(machine.gpus),
        size_bytes=size_bytes,
        measured=measured,
    )


def _wanted(need: Need, serving: Serving, context: int | None) -> int | None:
    """The length asked for, else the one that was seen in use, else the setting; never
    longer than the model's own."""
    if need.is_rough:
        return need.measured[1] if need.measured else None
    seen = need.measured[1] if need.measured else None
    wanted = context or seen or serving.context or need.longest or USUAL_CONTEXT
    return min(wanted, need.longest) if need.longest else wanted


def _fits_alone(need: Need, machine: Machine, runtime: str, wanted: int | None) -> bool:
    """If nobody else used the memory."""
    return _judge(need, rooms_of(machine.empty(), runtime), wanted).verdict == "fits"


def _judge(need: Need, rooms: Rooms, wanted: int | None) -> Fit:
    if rooms.lacks_start:
        # vLLM takes its whole share at the start, whatever the model needs of it.
        free = rooms.first - rooms.lacks_start
        return Fit(
            verdict="too_big",
            needed_bytes=rooms.first,
            available_bytes=free,
            context=wanted,
            place=rooms.place,
        )
    if wanted is None or need.is_rough:
        return _judge_roughly(need, rooms, wanted)
    if need.at(wanted) <= rooms.first:
        longest = _longest(need, rooms.first, wanted)
        return _fit("fits", need, rooms, wanted, longest)
    longest = _longest(need, rooms.first, wanted)
    if longest is not None:
        return _fit("tight", need, rooms, wanted, longest)
    if (longest := _longest(need, rooms.both, wanted)) is not None:
        return _fit("partial", need, rooms, min(wanted, longest), longest)
    return _fit("too_big", need, rooms, _shortest(need, wanted), None)


def _judge_roughly(need: Need, rooms: Rooms, context: int | None) -> Fit:
    needed = need.at(context or 0)
    verdict: Verdict = "fits" if needed <= rooms.first else "too_big"
    if verdict == "too_big" and needed <= rooms.both:
        verdict = "partial"
    return _fit(verdict, need, rooms, context, None)


def _fit(
    verdict: Verdict,
    need: Need,
    rooms: Rooms,
    context: int | None,
    longest: int | None,
) -> Fit:
    room = rooms.both if verdict in ("partial", "too_big") else rooms.first
    return Fit(
        verdict=verdict,
        needed_bytes=need.at(context or 0),
        available_bytes=room,
        context=context,
        longest_context=longest,
        place=rooms.place,
        is_measured=need.is_measured_at(context),
        is_rough=need.is_rough,
    )


def _shortest(need: Need, wanted: int) -> int:
    return min(SHORTEST_CONTEXT, need.longest or wanted, wanted)


def _longest(need: Need, room: int, wanted: int) -> int | None:
    """The longest context that the room holds, in whole thousands; None where even the
    shortest does not fit."""
    most = need.longest or wanted
    if need.at(most) <= room:
        return most
    low = _shortest(need, wanted)
    if need.at(low) > room:
        return None
    first, last = low // CONTEXT_STEP, most // CONTEXT_STEP
    while first < last:  # the need never falls, so halving finds the edge
        middle = (first + last + 1) // 2
        first, last = (
            (middle, last)
            if need.at(middle * CONTEXT_STEP) <= room
            else (first, middle - 1)
        )
    return max(low, first * CONTEXT_STEP)


def fit_payload(fit: Fit) -> dict[str, Any]:
    """As docs/api.md shows it: bytes, tokens, null where nobody knows."""
    is_known = fit.verdict != "unknown"
    return {
        "verdict": fit.verdict,
        "needed_bytes": fit.needed_bytes if is_known else None,
        "available_bytes": fit.available_bytes if is_known else None,
        "missing_bytes": fit.missing_bytes,
        "context": fit.context,
        "longest_context": fit.longest_context,
        "place": fit.place or None,
        "measured": fit.is_measured,
        "rough": fit.is_rough,
        "busy": fit.is_busy,
        "store_ok": fit.store_ok,
    }
