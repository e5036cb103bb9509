"""Samples: every ten seconds what this node and its servers use.

Called by the beat job in the node's own worker. A row stands for the ten seconds that
have just ended; the same ten seconds are kept once, however many jobs ran. Pages are
told only of what somebody would see.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from models_app.models import Node
from models_app.services.nodes import live_names, this_node
from runtime_app.choices import ManagedBy, RuntimeStatus
from runtime_app.events import runtime_changed, usage_sampled
from runtime_app.models import MachineSample, Runtime, RuntimeSample
from runtime_app.monitoring import memory_alerts
from runtime_app.monitoring.health import ANSWERING
from runtime_app.monitoring.machine_seen import MachineEye, MachineSeen
from runtime_app.monitoring.output_rates import output_rates
from runtime_app.monitoring.process_behind import Behind, ProcessFinder
from runtime_app.monitoring.server_counters import CountersReader
from runtime_app.monitoring.told import Told
from runtime_app.monitoring.usage import usage_payload
from runtime_app.schemas import server_payload
from runtime_app.services.drain import in_flight_by_runtime
from venom_site.lib.events import publish
from venom_site.lib.queue import send_job

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 10
CLOCK_MOVED = timedelta(seconds=2)  # less is the same start, counted again
MAY_HAVE_A_PROCESS = ANSWERING | {
    RuntimeStatus.STARTING,
    RuntimeStatus.STOPPING,
    RuntimeStatus.UNKNOWN,
}

_one_at_a_time = threading.Lock()
_eye = MachineEye()
_finder = ProcessFinder()
_counters = CountersReader()
_told = Told()


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The ten seconds that a row stands for."""

    begin: datetime

    @classmethod
    def just_ended(cls, now: datetime) -> Span:
        number = int(now.timestamp()) // PERIOD_SECONDS - 1
        return cls(begin=datetime.fromtimestamp(number * PERIOD_SECONDS, UTC))

    @property
    def end(self) -> datetime:
        return self.begin + timedelta(seconds=PERIOD_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What gateways and history say of all servers."""

    running: dict[str, int]
    rates: dict[str, float]

    @classmethod
    def read(cls, span: Span) -> Load:
        return cls(
            running=in_flight_by_runtime(), rates=output_rates(span.begin, span.end)
        )


def fan_out() -> None:
    """Ask every live node to take its samples."""
    for name in live_names():
        send_job(
            "runtime_app.sample_node",
            queue=f"node.{name}",
            life_seconds=PERIOD_SECONDS,
        )


def sample_node() -> None:
    """Look at this machine and the servers of the profile on it, keep what was seen,
    judge the memory. A look that is still going on is not disturbed."""
    if not _one_at_a_time.acquire(blocking=False):
        return
    try:
        _sample(Span.just_ended(timezone.now()))
    finally:
        _one_at_a_time.release()


def _sample(span: Span) -> None:
    node = this_node()
    rows = list(Runtime.objects.of_profile().of_node(node.name).in_order())
    machine, load = _eye.look(), Load.read(span)
    samples = [_look_at(row, machine, load, span) for row in rows]
    with transaction.atomic():
        kept = _keep(node, machine, samples, span)
    memory_alerts.judge(node, rows)
    if _told.is_news(kept, samples):
        publish(usage_sampled(usage_payload(node, kept, samples)))


def _look_at(
    runtime: Runtime, machine: MachineSeen, load: Load, span: Span
) -> RuntimeSample:
    """The sample of one server; its row is brought up to date on the way."""
    behind = _finder.find(runtime) if _may_have_a_process(runtime) else None
    _keep_current(runtime, _current(runtime, behind, machine))
    return RuntimeSample(
        runtime=runtime,
        at=span.begin,
        seconds=PERIOD_SECONDS,
        status=runtime.status,
        memory_bytes=runtime.memory_bytes,
        vram_bytes=runtime.vram_bytes,
        **(_work_of(runtime, load) if runtime.status in ANSWERING else {}),
    )


def _work_of(runtime: Runtime, load: Load) -> dict[str, float | None]:
    """By the server's own count, which knows more; else by what the gateways know."""
    own = _counters.read(runtime)
    running: float | None = load.running.get(runtime.name, 0)
    tokens: float | None = load.rates.get(runtime.name, 0.0)
    if own is not None:
        running = running if own.running is None else own.running
        tokens = own.tokens_per_second
    return {
        "latency_ms": runtime.latency_ms,
        "requests_running": running,
        "requests_waiting": own.waiting if own else None,
        "output_tokens_per_second": tokens,
    }


def _may_have_a_process(runtime: Runtime) -> bool:
    return bool(runtime.process) or runtime.status in MAY_HAVE_A_PROCESS


def _current(
    runtime: Runtime, behind: Behind | None, machine: MachineSeen
) -> dict[str, Any]:
    """The columns of the row as they are now. What the health check notes of processes
    of ours and of units is left to it."""
    said = _vram_said(runtime, machine)
    is_foreign = runtime.managed_by == ManagedBy.EXTERNAL
    if behind is None:
        gone: dict[str, Any] = {"memory_bytes": None, "vram_bytes": said}
        return gone | {"pid": None} if is_foreign else gone
    held = machine.processes.held_by(behind.tree.pids)
    measured = {
        "memory_bytes": behind.tree.memory_bytes,
        "vram_bytes": said if held is None else held,
    }
    return measured | _of_foreign(runtime, behind) if is_foreign else measured


def _of_foreign(runtime: Runtime, behind: Behind) -> dict[str, Any]:
    """Who it is, since when, and whether somebody started it anew."""
    tree = behind.tree
    fields: dict[str, Any] = {"pid": tree.head.pid}
    started = runtime.process_started_at
    if started is None or abs(started - tree.started_at) > CLOCK_MOVED:
        fields["process_started_at"] = tree.started_at
    if behind.was_replaced:
        fields["restarts"] = runtime.restarts + 1
    return fields


def _vram_said(runtime: Runtime, machine: MachineSeen) -> int | None:
    """What the server itself says of its models, where no driver tells; null where it
    says nothing, and where there is no GPU and nothing lies on one."""
    sizes = [model.get("size_vram_bytes") for model in runtime.loaded_models]
    known = [int(size) for size in sizes if size is not None]
    if runtime.status not in ANSWERING or (sizes and not known):
        return None
    return sum(known) or (0 if known and machine.gpus else None)


def _keep_current(runtime: Runtime, current: dict[str, Any]) -> None:
    """Write what differs; tell pages when somebody would see it."""
    fields = {name: v for name, v in current.items() if getattr(runtime, name) != v}
    with transaction.atomic():
        if fields:
            Runtime.objects.filter(pk=runtime.pk).update(**fields)
        is_news = _told.is_news_of(runtime, fields)
        for name, value in fields.items():
            setattr(runtime, name, value)
        if is_news:
            _told.note(runtime)
            row = Runtime.objects.select_related("node").get(pk=runtime.pk)
            publish(runtime_changed(server_payload(row)))


def _keep(
    node: Node, machine: MachineSeen, samples: list[RuntimeSample], span: Span
) -> MachineSample:
    """The first job of these ten seconds writes; another finds them taken."""
    kept = MachineSample(
        node=node,
        at=span.begin,
        seconds=PERIOD_SECONDS,
        cpu_percent=machine.cpu_percent,
        memory_used_bytes=machine.memory.used_bytes,
        memory_total_bytes=machine.memory.total_bytes,
        gpus=machine.gpu_rows(),
    )
    MachineSample.objects.bulk_create([kept], ignore_conflicts=True)
    RuntimeSample.objects.bulk_create(samples, ignore_conflicts=True)
    return kept
