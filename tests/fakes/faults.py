"""What a practice neighbour can be told to do wrong, and how often.

Tests plan faults on the board of a running neighbour; the neighbour takes one
per request to that path. The wire effects are played in `neighbour.py` (before
the first byte) and `streams.py` (in the middle of an answer).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    STATUS = "status"
    SLOW_HEADERS = "slow_headers"
    STALL_BEFORE_FIRST_BYTE = "stall_before_first_byte"
    GARBAGE = "garbage"
    STALL_MID_STREAM = "stall_mid_stream"
    CUT_MID_LINE = "cut_mid_line"
    CUT_AFTER_TOKENS = "cut_after_tokens"
    END_EARLY = "end_early"
    GARBAGE_LINE = "garbage_line"
    HTML = "html"
    UNSUPPORTED = "unsupported"
    REDIRECT_LOOP = "redirect_loop"
    # An error line after the 200; the vendor's wire knows its text.
    CRASH = "crash"
    NO_MANIFEST = "no_manifest"
    ACCESS_DENIED = "access_denied"
    DISK_FULL = "disk_full"
    MAX_RETRIES = "max_retries"
    # What one endpoint alone can play.
    DIGEST_MISMATCH = "digest_mismatch"
    LYING_DIGEST = "lying_digest"


ERROR_LINES = {
    FaultKind.CRASH,
    FaultKind.NO_MANIFEST,
    FaultKind.ACCESS_DENIED,
    FaultKind.DISK_FULL,
    FaultKind.MAX_RETRIES,
}
MID_STREAM = {
    FaultKind.STALL_MID_STREAM,
    FaultKind.CUT_MID_LINE,
    FaultKind.CUT_AFTER_TOKENS,
    FaultKind.END_EARLY,
    FaultKind.GARBAGE_LINE,
    *ERROR_LINES,
}
# The number of a fault that names none: tokens that still arrive whole, or a status.
USUAL_AMOUNT = {
    FaultKind.STALL_MID_STREAM: 2.0,
    FaultKind.CUT_MID_LINE: 2.0,
    FaultKind.END_EARLY: 2.0,
    FaultKind.GARBAGE_LINE: 2.0,
    FaultKind.CRASH: 2.0,
    FaultKind.DISK_FULL: 2.0,
    FaultKind.MAX_RETRIES: 2.0,
    FaultKind.HTML: 200.0,
    FaultKind.UNSUPPORTED: 404.0,
}
NEEDS_AMOUNT = {FaultKind.STATUS, FaultKind.SLOW_HEADERS, FaultKind.CUT_AFTER_TOKENS}


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind and its number: a status, seconds, or tokens sent before it strikes."""

    kind: FaultKind
    amount: float = 0

    @property
    def is_mid_stream(self) -> bool:
        return self.kind in MID_STREAM

    @property
    def is_error_line(self) -> bool:
        return self.kind in ERROR_LINES


@dataclass(slots=True)
class PlannedFault:
    path: str
    text: str
    fault: Fault
    times: int


def parse_fault(text: str) -> Fault:
    """Return the fault that `kind` or `kind:number` names, else raise ValueError."""
    name, _, number = text.partition(":")
    if name not in list(FaultKind):
        known = ", ".join(FaultKind)
        raise ValueError(f"Unknown fault {name!r}; known are {known}.")
    kind = FaultKind(name)
    if not number:
        if kind in NEEDS_AMOUNT:
            raise ValueError(f"The fault {name} needs a number, as in {name}:3.")
        return Fault(kind, USUAL_AMOUNT.get(kind, 0))
    try:
        amount = float(number)
    except ValueError:
        raise ValueError(f"{number!r} in the fault {text!r} is no number.") from None
    if kind is FaultKind.STATUS and not 400 <= amount <= 599:
        raise ValueError("A fault status lies between 400 and 599.")
    return Fault(kind, amount)


class FaultBoard:
    """The planned faults of one neighbour, taken in the order they were planned."""

    def __init__(self) -> None:
        self._planned: list[PlannedFault] = []

    def plan(self, path: str, text: str, times: int = 1) -> None:
        """Plan a fault for an exact path or `*`; times 0 means until cleared."""
        self._planned.append(PlannedFault(path, text, parse_fault(text), times))

    def take(self, path: str) -> Fault | None:
        """Return the fault for this request, if any, and use it up once."""
        for planned in list(self._planned):
            if planned.path in (path, "*"):
                self._use_up(planned)
                return planned.fault
        return None

    def clear(self) -> None:
        self._planned.clear()

    def __iter__(self) -> Iterator[PlannedFault]:
        return iter(list(self._planned))

    def _use_up(self, planned: PlannedFault) -> None:
        if planned.times == 1:
            self._planned.remove(planned)
        elif planned.times > 1:
            planned.times -= 1
