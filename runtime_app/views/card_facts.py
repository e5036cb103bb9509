"""What a card shows beside the row: memory bars and a day of latency.

Read once for all cards of a page: one query over the samples, one look at the machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db.models import Avg
from django.db.models.functions import TruncHour
from django.utils import timezone
from django.utils.translation import gettext as _

from runtime_app.models import Runtime, RuntimeSample
from runtime_app.views.card_shapes import Latency, MemoryBar
from venom_site.clients import hardware
from venom_site.lib.units import milliseconds_text

HOURS = 24


class Machine(NamedTuple):
    memory: hardware.Filled
    gpus: list[hardware.Gpu]


def read_machine() -> Machine:
    return Machine(hardware.memory(), hardware.gpus())


def bars_of(row: Runtime, machine: Machine) -> list[MemoryBar]:
    """RAM and GPU memory of this machine with the server's share; none for a server
    of another node, and none while nobody knows what it holds."""
    own, on_gpu = _held(row)
    if row.node.name != settings.NODE or (own is None and on_gpu is None):
        return []
    mark = settings.ENV.VENOM_MEMORY_ALERT_PERCENT
    used, total = machine.memory.used_bytes, machine.memory.total_bytes
    bars = [MemoryBar(_("RAM"), used, total, own, mark)]
    if machine.gpus:
        used = sum(gpu.used_bytes for gpu in machine.gpus)
        total = sum(gpu.total_bytes for gpu in machine.gpus)
        bars.append(MemoryBar(_("VRAM"), used, total, on_gpu, mark))
    return [bar for bar in bars if bar.total_bytes]


def _held(row: Runtime) -> tuple[int | None, int | None]:
    """RAM and GPU memory of the server: of its processes where they are seen, else
    what it says that its models take."""
    if row.memory_bytes is not None or row.vram_bytes is not None:
        return row.memory_bytes, row.vram_bytes
    sizes = [model for model in row.loaded_models if model.get("size_bytes")]
    if not sizes:
        return None, None
    on_gpu = sum(model.get("size_vram_bytes") or 0 for model in sizes)
    in_ram = sum(model["size_bytes"] for model in sizes) - on_gpu
    return in_ram or None, on_gpu  # what serves them is in RAM too, and not counted


def latencies(rows: Iterable[Runtime]) -> dict[UUID, Latency]:
    """The last 24 hours of each row that has samples, with one query."""
    first = _this_hour() - timedelta(hours=HOURS - 1)
    means = (
        RuntimeSample.objects.filter(
            runtime__in=list(rows), at__gte=first, latency_ms__isnull=False
        )
        .annotate(hour=TruncHour("at", tzinfo=UTC))
        .order_by()
        .values_list("runtime_id", "hour")
        .annotate(mean=Avg("latency_ms"))
    )
    hours: dict[UUID, list[float | None]] = {}
    for pk, hour, mean in means:
        place = int((hour - first).total_seconds() // 3600)
        if 0 <= place < HOURS:
            hours.setdefault(pk, [None] * HOURS)[place] = mean
    return {pk: Latency(found, _words(found)) for pk, found in hours.items()}


def _this_hour() -> datetime:
    return timezone.now().astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _words(hours: list[float | None]) -> str:
    known = [mean for mean in hours if mean is not None]
    if milliseconds_text(min(known)) == milliseconds_text(max(known)):
        return _("%(most)s in the last 24 h") % {"most": milliseconds_text(max(known))}
    return _("%(least)s to %(most)s in the last 24 h") % {
        "least": milliseconds_text(min(known)),
        "most": milliseconds_text(max(known)),
    }
