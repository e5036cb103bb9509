"""Closes alerts whose condition has cleared, silenced ones too.

Called by the beat job every 15 seconds; two of them at once are harmless. What the
gateway itself closes, by a good answer, is closed sooner.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.utils import timezone

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from runtime_app.choices import RuntimeStatus
from runtime_app.models import Alert, Runtime
from runtime_app.services import alerts

logger = logging.getLogger(__name__)

QUIET = timedelta(minutes=5)


def close_what_cleared() -> None:
    """Look at every open alert; there are few of them."""
    runtimes = {(row.node.name, row.name): row for row in Runtime.objects.in_order()}
    now = timezone.now()
    for alert in Alert.objects.open():
        if has_cleared(alert, runtimes.get((alert.node, alert.runtime))):
            if alerts.close_cleared(alert):
                logger.info("alert closed, its condition cleared %s", alert.key)
        elif alert.silenced_until is not None and alert.silenced_until <= now:
            alerts.end_silence(alert)


def has_cleared(alert: Alert, runtime: Runtime | None) -> bool:
    """The runtime is gone; or it is online and has answered since, or was not
    complained of for five minutes. Memory is judged by the sampler of its node; here
    only when that one has measured nothing for five minutes. A wrong name clears with
    the names."""
    if alert.code == alerts.MEMORY_HIGH:
        return alert.last_seen_at < timezone.now() - QUIET
    if runtime is None:
        return True
    if alert.code == alerts.ALIAS_MISMATCH:
        return not _is_misnamed(runtime, alert.model)
    if runtime.status != RuntimeStatus.ONLINE:
        return False
    is_quiet = alert.last_seen_at < timezone.now() - QUIET
    return is_quiet or _answered_since(alert)


def _is_misnamed(runtime: Runtime, model: str) -> bool:
    names = runtime.names if isinstance(runtime.names, dict) else {}
    return bool(names.get("is_mismatch")) and names.get("configured") == model


def _answered_since(alert: Alert) -> bool:
    good = RequestRecord.objects.filter(
        llm_model=alert.model,
        llm_endpoint=alert.endpoint,
        status=RequestStatus.COMPLETED,
        created_at__gt=alert.last_seen_at,
    )
    return good.exists()
