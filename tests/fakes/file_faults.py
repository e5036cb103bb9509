"""What can go wrong with one answer of the practice file server, and when it does.

A fault is written `kind`, `kind:AMOUNT` or `kind:AMOUNT:NOTE`; `README.md` lists them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Those that need no answer of the file at all.
EARLY = ("status", "redirect", "redirect_loop", "reset")
KINDS = (
    *EARLY,
    *("cut", "stall", "slow_headers", "throttle", "whole", "no_etag", "etag"),
    *("long", "short", "swollen", "chunked", "wrong", "wrong_range", "wrong_total"),
)


@dataclass(frozen=True, slots=True)
class FileFault:
    kind: str
    text: str = ""  # what stands behind the first colon

    @property
    def amount(self) -> int:
        return int(float(self.text.partition(":")[0] or 0))

    @property
    def note(self) -> str:
        return self.text.partition(":")[2]

    def is_due(self, start: int, end: int) -> bool:
        """A wrong byte waits for an answer that holds it."""
        return self.kind != "wrong" or start <= self.amount < end


@dataclass(slots=True)
class _Planned:
    path: str
    fault: FileFault
    times: int


class FileFaults:
    """Planned faults, taken in the order in which they were planned."""

    def __init__(self) -> None:
        self._planned: list[_Planned] = []

    def plan(self, path: str, text: str, times: int = 1) -> None:
        """For answers to this path, or `*`; times 0 means until cleared."""
        kind, _, rest = text.partition(":")
        if kind not in KINDS:
            raise ValueError(f"There is no fault {kind!r}; there are {KINDS}.")
        self._planned.append(_Planned(path, FileFault(kind, rest), times))

    def take(self, path: str, start: int, end: int) -> FileFault | None:
        for planned in list(self._planned):
            if planned.path in (path, "*") and planned.fault.is_due(start, end):
                if planned.times == 1:
                    self._planned.remove(planned)
                planned.times -= planned.times > 1
                return planned.fault
        return None

    def clear(self) -> None:
        self._planned.clear()

    def __iter__(self) -> Iterator[FileFault]:
        return iter([planned.fault for planned in self._planned])
