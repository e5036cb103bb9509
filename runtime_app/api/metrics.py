"""`/metrics`: what Prometheus scrapes, with a key that may read."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from history_app.metrics import request_metrics
from runtime_app.monitoring.gauges import state_registry
from venom_site.lib.access import Scope, require


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The counters of this process, then the state that all processes share."""
    require(request.principal, Scope.READ)  # type: ignore[attr-defined]
    registries = (request_metrics.registry, state_registry())
    body = b"".join(generate_latest(registry) for registry in registries)
    return HttpResponse(body, content_type=CONTENT_TYPE_LATEST)
