"""Pinned models stay: told again after a request has set a time of leaving.

Requests on `/v1` cannot say how long a model is to stay, so each sets the server's own
default anew. Called by the health check with what it has just seen in memory; a model
that somebody unloaded is not loaded again.
"""

from __future__ import annotations

import logging

from models_app.models import InstalledModel
from runtime_app.choices import CAN_UNLOAD
from runtime_app.models import Runtime
from runtime_app.runtimes.base import Observation
from runtime_app.runtimes.registry import adapter_for
from runtime_app.services.runtimes import providers_of
from venom_site.lib.errors import WireError

logger = logging.getLogger(__name__)


def hold(runtime: Runtime, seen: Observation) -> None:
    """Costs a query only when something in memory is about to leave."""
    if runtime.kind not in CAN_UNLOAD:
        return
    leaving = [entry["name"] for entry in seen.loaded or [] if entry.get("expires_at")]
    if not leaving:
        return
    pinned = _pinned(runtime)
    for name in leaving:
        if name.lower() in pinned:
            _keep(runtime, name)


def _pinned(runtime: Runtime) -> set[str]:
    rows = InstalledModel.objects.filter(
        node_id=runtime.node_id, provider__in=providers_of(runtime), pinned=True
    )
    return {name.lower() for name in rows.values_list("name", flat=True)}


def _keep(runtime: Runtime, name: str) -> None:
    try:
        adapter_for(runtime).keep(name, forever=True)
    except WireError as error:
        logger.info("pin not renewed runtime=%s model=%s %s", runtime.name, name, error)
