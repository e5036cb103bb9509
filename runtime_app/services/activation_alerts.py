"""The alert of an activation that failed, and its end when one succeeds.

Called by the work of an activation; `alerts.py` keeps the rows.
"""

from __future__ import annotations

from django.utils import timezone

from models_app.models import Operation
from runtime_app.models import Runtime
from runtime_app.services.alerts import (
    ACTIVATION_FAILED,
    Trouble,
    close_by_recovery,
    raise_alert,
)
from venom_site.lib.errors import VenomError


def tell_failed(operation: Operation, runtime: Runtime, error: VenomError) -> None:
    raise_alert(_trouble(operation, runtime, message=str(error)))


def tell_done(operation: Operation, runtime: Runtime) -> None:
    """The same model on the same runtime has become active: that is no trouble now."""
    key = _trouble(operation, runtime).key
    close_by_recovery(key, answered_at=timezone.now())


def _trouble(operation: Operation, runtime: Runtime, *, message: str = "") -> Trouble:
    return Trouble(
        code=ACTIVATION_FAILED,
        message=message,
        provider=runtime.provider,
        runtime=runtime.name,
        model=operation.model_name,
        endpoint=runtime.openai_url,
        node=runtime.node.name,
        request_id=operation.request_id,
    )
