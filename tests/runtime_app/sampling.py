"""Rows of samples for tests, and time that a test sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from runtime_app.models import MachineSample, RuntimeSample

GIB = 1 << 30
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def sample(runtime, seconds_after_noon: float, **fields) -> RuntimeSample:
    known = {"status": "online", "seconds": 10, "latency_ms": 4.0} | fields
    return RuntimeSample.objects.create(
        runtime=runtime, at=at(seconds_after_noon), **known
    )


def machine(node, moment: datetime, *, percent=50.0, gpus=(), **fields):
    """A machine of 100 GiB, `percent` of it used; `gpus` as (used GiB, total GiB)."""
    known = {"seconds": 10, "memory_total_bytes": 100 * GIB, "cpu_percent": 7.0}
    rows = [
        {
            "index": index,
            "name": "Practice",
            "used_bytes": int(used * GIB),
            "total_bytes": total * GIB,
            "utilization_percent": 40,
        }
        for index, (used, total) in enumerate(gpus)
    ]
    return MachineSample.objects.create(
        node=node,
        at=moment,
        memory_used_bytes=int(percent * GIB),
        gpus=rows,
        **(known | fields),
    )
