"""Samples grow coarser with age: 10 s for an hour, 60 s for a day, 600 s for 30 days.

Called by the beat job every minute. A coarse row is made as soon as its span is over,
beside the fine ones, so that every chart reads rows of one size; then what is too old
goes. Each step may run twice or stop in the middle: a coarse row is written over by the
same one, and fine rows leave after the coarse ones were made from them, a whole span at
a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from django.db.models import QuerySet
from django.utils import timezone

from models_app.models import Node
from runtime_app.models import MachineSample, Runtime, RuntimeSample
from runtime_app.monitoring.merging import merge_machine, merge_runtime

# Seconds of a row, and how long such rows are kept.
KEPT = {10: timedelta(hours=1), 60: timedelta(hours=24), 600: timedelta(days=30)}
STEPS = ((10, 60), (60, 600))
COARSEST = 600
# A row of the last span may still be on its way when the span has ended.
SETTLED = timedelta(seconds=30)
# Rows of a clock that ran ahead would block their seconds when these come.
AHEAD = timedelta(minutes=10)
BATCH = 2_000  # rows read at once: after a long rest there may be many

# What the constraints of the tables say.
UNIQUE: dict[type, list[str]] = {
    RuntimeSample: ["runtime", "seconds", "at"],
    MachineSample: ["node", "seconds", "at"],
}

Sample = TypeVar("Sample", RuntimeSample, MachineSample)
Merge = Callable[[datetime, int, list[Sample]], Sample]


def thin() -> None:
    """Of every server and machine: make the coarse rows that are due, then forget."""
    now = timezone.now()
    for runtime in Runtime.objects.order_by("pk"):
        _thin(RuntimeSample.objects.filter(runtime=runtime), merge_runtime, now)
    for node in Node.objects.order_by("pk"):
        _thin(MachineSample.objects.filter(node=node), merge_machine, now)


def _thin(rows: QuerySet[Sample], merge: Merge[Sample], now: datetime) -> None:
    rows.filter(at__gt=now + AHEAD).delete()
    for fine, coarse in STEPS:
        _coarsen(rows, fine, coarse, merge, _floor(now - SETTLED, coarse))
    for seconds, kept in KEPT.items():
        # Whole spans, or a coarse row could be made again from the half that is left.
        rows.filter(seconds=seconds, at__lt=_floor(now - kept, COARSEST)).delete()


def _coarsen(
    rows: QuerySet[Sample],
    fine: int,
    coarse: int,
    merge: Merge[Sample],
    end: datetime,
) -> None:
    """From the last coarse row on, which is made again: a clock that lags may have
    brought more of its span since."""
    made = rows.filter(seconds=coarse, at__lt=end).order_by("-at")
    begin = made.values_list("at", flat=True).first()
    due = rows.filter(seconds=fine, at__lt=end).order_by("at")
    while True:
        batch = list((due.filter(at__gte=begin) if begin else due)[:BATCH])
        spans: dict[datetime, list[Sample]] = defaultdict(list)
        for row in batch:
            spans[_floor(row.at, coarse)].append(row)
        is_last = len(batch) < BATCH
        if not is_last:
            begin = max(spans)  # it may be cut off here: it comes again
            del spans[begin]
        _write(rows, [merge(at, coarse, found) for at, found in spans.items()])
        if is_last:
            return


def _write(rows: QuerySet[Sample], made: list[Sample]) -> None:
    unique: list[str] = UNIQUE[rows.model]
    fields = [field.name for field in rows.model._meta.concrete_fields]
    rows.model._default_manager.bulk_create(
        made,
        update_conflicts=True,
        unique_fields=unique,
        update_fields=[name for name in fields if name not in {"id", *unique}],
    )


def _floor(moment: datetime, seconds: int) -> datetime:
    number = int(moment.timestamp()) // seconds
    return datetime.fromtimestamp(number * seconds, UTC)
