"""The present state of the installation as gauges: read from rows when scraped.

Five queries over small tables or indexes; the same from every process. Used by
`/metrics` only.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from models_app.choices import OperationStatus
from models_app.models import Operation
from runtime_app.choices import AlertSeverity, RuntimeStatus
from runtime_app.models import Alert, Runtime
from runtime_app.monitoring import usage_gauges
from runtime_app.services.drain import in_flight_by_runtime
from venom_site import VERSION

ANSWERING = frozenset({RuntimeStatus.ONLINE, RuntimeStatus.DEGRADED})
OPEN = (OperationStatus.PENDING, OperationStatus.IN_PROGRESS)


class StateCollector(Collector):
    def collect(self) -> Iterator[Metric]:
        yield _gauge("venom_info", "The version that runs.", {"version": VERSION}, 1)
        yield from _runtimes()
        yield _in_flight()
        yield _operations()
        yield _alerts()
        yield from usage_gauges.of_machines()


def state_registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(StateCollector())
    return registry


def _gauge(
    name: str, words: str, labels: dict[str, str], value: float
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=tuple(labels))
    family.add_metric(tuple(labels.values()), value)
    return family


def _runtimes() -> Iterator[Metric]:
    labels = ("runtime", "node")
    up = GaugeMetricFamily("venom_runtime_up", "1 while it answers.", labels=labels)
    loaded = GaugeMetricFamily(
        "venom_models_loaded", "Models in its memory.", labels=labels
    )
    rows = list(Runtime.objects.of_profile().in_order())
    for row in rows:
        who = (row.name, row.node.name)
        up.add_metric(who, row.status in ANSWERING)
        loaded.add_metric(who, len(row.loaded_models))
    yield up
    yield loaded
    yield from usage_gauges.of_runtimes(rows)


def _in_flight() -> GaugeMetricFamily:
    """Of all gateway processes that live."""
    family = GaugeMetricFamily(
        "venom_requests_in_flight", "Requests being answered.", labels=("runtime",)
    )
    for runtime, number in sorted(in_flight_by_runtime().items()):
        family.add_metric((runtime,), number)
    return family


def _operations() -> GaugeMetricFamily:
    """Those not ended: the ended ones are history."""
    rows = Operation.objects.filter(status__in=OPEN).order_by()
    counts = dict(rows.values_list("status").annotate(Count("pk")))
    family = GaugeMetricFamily(
        "venom_operations", "Operations that wait or run.", labels=("status",)
    )
    for status in OPEN:
        family.add_metric((status.value,), counts.get(status.value, 0))
    return family


def _alerts() -> GaugeMetricFamily:
    """Without the silenced ones, as banners do."""
    rows = Alert.objects.loud().order_by()
    counts = dict(rows.values_list("severity").annotate(Count("pk")))
    family = GaugeMetricFamily(
        "venom_alerts_open", "Alerts that are open.", labels=("severity",)
    )
    for severity in AlertSeverity:
        family.add_metric((severity.value,), counts.get(severity.value, 0))
    return family
