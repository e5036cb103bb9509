"""Making a model active because a request asked for it (VENOM_ON_INACTIVE_MODEL).

The only part of the gateway that asks the database, in a thread, for a request that
waits for a model to load anyway. The operations are the truth, so many processes start
one switch together.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.utils import timezone, translation

from models_app.choices import OperationStatus, OperationType
from models_app.models import Operation
from models_app.services.operations import get_operation
from runtime_app.gateway.entries import KeyEntry, Snapshot
from runtime_app.gateway.names import Route
from runtime_app.gateway.refusals import Refusal, Refused
from runtime_app.gateway.routing import not_active
from runtime_app.services.activate import request_activation
from venom_site.lib.access import Principal, Scope
from venom_site.lib.errors import VenomError
from venom_site.lib.offloop import off_loop

# Clients that ask for two models in turn must not make them drive each other out.
PAUSE = timedelta(seconds=60)


async def start_switch(route: Route, snapshot: Snapshot, key: KeyEntry) -> UUID:
    """The operation that makes this the active model, joined where it is under way.

    Raises `Refused`: 409 soon after another switch, or what the activation says."""
    actor = Principal(
        kind="key",
        identifier=key.id,
        name=key.name,
        scopes=frozenset(Scope(scope) for scope in key.scopes),
    )
    return await off_loop(_start, route, snapshot, actor)


async def failed_switch(pk: UUID, route: Route) -> Refusal | None:
    """Why the switch came to nothing; None when it is under way or done."""
    operation = await off_loop(get_operation, pk)
    is_good = operation.status == OperationStatus.COMPLETED
    if is_good or not operation.is_finished:
        return None
    return Refusal(
        status=502,
        code="activation_failed",
        error_class="DEGRADED",
        message=f"“{route.served_name}” could not be activated on "
        f"“{route.runtime.name}”: {operation.error or operation.status}",
    )


def _start(route: Route, snapshot: Snapshot, actor: Principal) -> UUID:
    switches = Operation.objects.filter(operation_type=OperationType.ACTIVATE)
    latest = switches.order_by("-created_at").first()
    if latest is not None and _is_same(latest, route):
        return latest.pk
    if latest is not None and timezone.now() - latest.created_at < PAUSE:
        also = (
            f"A switch was asked for less than {PAUSE.seconds} s ago, "
            "so none is started. "
        )
        raise Refused(not_active(route, snapshot, also=also))
    try:
        with translation.override("en"):
            return request_activation(
                route.runtime.name, route.served_name, actor=actor
            ).pk
    except VenomError as error:
        refusal = Refusal(status=error.http_status, code=error.code, message=str(error))
        raise Refused(refusal) from error


def _is_same(operation: Operation, route: Route) -> bool:
    return (
        not operation.is_finished
        and operation.runtime == route.runtime.name
        and operation.model_name == route.served_name
    )
