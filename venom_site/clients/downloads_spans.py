"""Which bytes of a file are there: pure functions over sorted, disjoint spans.

A span is (start, end), end not included. Spans are tuples, so that one thread can
look at them while another replaces them.
"""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[int, int]
Spans = tuple[Span, ...]


def added(spans: Spans, start: int, end: int) -> Spans:
    """The spans with this one in them, merged with what it touches."""
    if start >= end:
        return spans
    before = tuple(span for span in spans if span[1] < start)
    after = tuple(span for span in spans if span[0] > end)
    touched = spans[len(before) : len(spans) - len(after)]
    if touched:
        start, end = min(start, touched[0][0]), max(end, touched[-1][1])
    return (*before, (start, end), *after)


def united(spans: Spans, others: Iterable[Span]) -> Spans:
    for start, end in others:
        spans = added(spans, start, end)
    return spans


def total(spans: Spans) -> int:
    return sum(end - start for start, end in spans)


def front(spans: Spans) -> int:
    """How far the bytes reach without a gap from the beginning."""
    return spans[0][1] if spans and spans[0][0] == 0 else 0


def missing(spans: Spans, start: int, end: int) -> list[Span]:
    """What is not there between start and end, in order."""
    gaps = []
    for first, last in spans:
        if last <= start or first >= end:
            continue
        if first > start:
            gaps.append((start, first))
        start = max(start, last)
    if start < end:
        gaps.append((start, end))
    return gaps


def clipped(spans: Spans, end: int) -> Spans:
    """Without what lies beyond `end`."""
    return tuple((a, min(b, end)) for a, b in spans if a < end)
