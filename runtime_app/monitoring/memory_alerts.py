"""The alert `memory_high`: memory of a machine or of one GPU above its limit.

Opens after two samples in a row above VENOM_MEMORY_ALERT_PERCENT and closes five
points below, so that a load that sways around the limit does not flicker. While it is
open only its text and the time move, silently; `monitoring/alerts.py` closes one that
nobody measures any more. All state is in rows: a restart of the worker changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from models_app.models import Node
from runtime_app.choices import AlertSeverity, RuntimeKind
from runtime_app.models import Alert, MachineSample, Runtime
from runtime_app.services import alerts
from runtime_app.services.alerts import MEMORY_HIGH, Trouble
from venom_site.lib.units import memory_text

IN_A_ROW = 2
FRESH = timedelta(seconds=45)
POINTS_BELOW = 5
MOST_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """One memory of a node: `gpu` is its index, None for the machine's own."""

    node: str
    gpu: int | None
    name: str
    used_bytes: int
    total_bytes: int

    @property
    def subject(self) -> str:
        """What tells one trouble from another."""
        return f"{self.node}/{'memory' if self.gpu is None else f'gpu{self.gpu}'}"

    @property
    def percent(self) -> float:
        return 100 * self.used_bytes / self.total_bytes


def judge(node: Node, runtimes: list[Runtime]) -> None:
    """By the latest samples of this node; `runtimes` are its servers as they are."""
    rows = MachineSample.objects.filter(
        node=node, seconds=10, at__gt=timezone.now() - FRESH
    )
    latest = list(rows.order_by("-at")[:IN_A_ROW])
    if not latest:
        return
    open_now = {alert.key: alert for alert in _open_of(node)}
    earlier = {store.subject: store for row in latest[1:] for store in _stores(row)}
    for store in _stores(latest[0]):
        known = open_now.get(alerts.key_of(MEMORY_HIGH, store.subject, ""))
        _judge_one(store, earlier.get(store.subject), known, runtimes)


def _judge_one(
    store: Store, before: Store | None, known: Alert | None, runtimes: list[Runtime]
) -> None:
    limit = settings.ENV.VENOM_MEMORY_ALERT_PERCENT
    if known is None:
        if before is not None and min(store.percent, before.percent) > limit:
            alerts.raise_alert(_trouble(store, runtimes))
    elif store.percent < limit - POINTS_BELOW:
        alerts.close_cleared(known)
    else:
        alerts.note_still_there(known, _trouble(store, runtimes).message)


def _open_of(node: Node) -> list[Alert]:
    return list(Alert.objects.open().filter(code=MEMORY_HIGH, node=node.name))


def _stores(sample: MachineSample) -> Iterator[Store]:
    node = sample.node.name
    if sample.memory_total_bytes:
        yield Store(
            node=node,
            gpu=None,
            name="RAM",
            used_bytes=sample.memory_used_bytes,
            total_bytes=sample.memory_total_bytes,
        )
    for gpu in sample.gpus:
        if gpu["total_bytes"]:
            yield Store(
                node=node,
                gpu=gpu["index"],
                name=gpu["name"],
                used_bytes=gpu["used_bytes"],
                total_bytes=gpu["total_bytes"],
            )


def _trouble(store: Store, runtimes: list[Runtime]) -> Trouble:
    return Trouble(
        code=MEMORY_HIGH,
        severity=AlertSeverity.WARNING,
        subject=store.subject,
        node=store.node,
        error_class="RAM" if store.gpu is None else f"GPU {store.gpu}",
        message=_sentence(store, runtimes),
    )


def _sentence(store: Store, runtimes: list[Runtime]) -> str:
    where = "Memory" if store.gpu is None else f"GPU {store.gpu} ({store.name})"
    used, total = memory_text(store.used_bytes), memory_text(store.total_bytes)
    words = f"{where} of {store.node}: {used} of {total} used ({store.percent:.0f} %)."
    held = sorted(_held(store, runtimes), key=lambda entry: -entry[0])[:MOST_NAMED]
    if held:
        names = ", ".join(f"{name} {memory_text(size)}" for size, name in held)
        words += f" Largest models: {names}."
    return words


def _held(store: Store, runtimes: list[Runtime]) -> Iterator[tuple[int, str]]:
    """Bytes and name of every model in this memory; a server that does not say what
    each takes is counted as a whole, by the model that it serves."""
    for runtime in runtimes:
        if runtime.kind == RuntimeKind.OLLAMA:
            sizes = [(_part(model, store), model["name"]) for model in _loaded(runtime)]
        else:
            held = runtime.memory_bytes if store.gpu is None else runtime.vram_bytes
            first = next((model["name"] for model in _loaded(runtime)), "")
            sizes = [(held or 0, first)]
        for size, name in sizes:
            if size > 0:
                yield size, f"{name} ({runtime})" if name else str(runtime)


def _loaded(runtime: Runtime) -> list[dict[str, Any]]:
    return list(runtime.loaded_models)


def _part(model: dict[str, Any], store: Store) -> int:
    on_gpu = int(model.get("size_vram_bytes") or 0)
    if store.gpu is not None:
        return on_gpu
    return int(model.get("size_bytes") or 0) - on_gpu
