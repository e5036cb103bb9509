"""Where the time of one answer went, for the bar on its page. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from history_app.models import RequestRecord
from history_app.schemas import generation_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of the bar: percentages of the whole, `kind` its colour."""

    kind: str
    label: str
    seconds: float
    start: float
    width: float


def parts_of(record: RequestRecord) -> list[Part]:
    """Held, our own work, the server until its first token, its writing: in order, each
    that was measured. Without a first token the rest is the answer as a whole."""
    whole = record.duration_seconds
    if not whole:
        return []
    parts, start = [], 0.0
    for kind, label, seconds in _stretches(record, whole):
        if seconds is None or seconds <= 0:
            continue
        share = {"start": 100 * start / whole, "width": 100 * seconds / whole}
        parts.append(Part(kind=kind, label=label, seconds=seconds, **share))
        start += seconds
    return parts


def _stretches(
    record: RequestRecord, whole: float
) -> tuple[tuple[str, str, float | None], ...]:
    before = (record.queue_seconds or 0) + (record.overhead_seconds or 0)
    first = record.ttft_seconds
    return (
        ("queue", _("Held before it was sent"), record.queue_seconds),
        ("overhead", _("Venom itself"), record.overhead_seconds),
        (
            "first",
            _("Until the first token"),
            None if first is None else first - before,
        ),
        ("generation", _("Writing the answer"), generation_seconds(record)),
        ("answer", _("Until the answer"), whole - before if first is None else None),
    )
