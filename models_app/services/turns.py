"""Whose turn it is beyond the lock: caps per node, and what excludes each other.

Asked inside the claiming transaction. The node's row is locked first, else eight
claims at once would all count too few (PostgreSQL; on SQLite the transaction itself is
the lock).
"""

from __future__ import annotations

from django.conf import settings

from models_app.choices import MOST_RUNNING, OperationType
from models_app.models import Node, Operation
from models_app.querysets import OperationQuerySet
from models_app.services import operation_rows

# A model is not removed while it is being brought into memory, and the other way round.
_INTO_MEMORY = (OperationType.ACTIVATE, OperationType.LOAD)
OPPOSITES: dict[str, tuple[str, ...]] = {
    OperationType.REMOVE: _INTO_MEMORY,
    **dict.fromkeys(_INTO_MEMORY, (OperationType.REMOVE,)),
}


def most_running(operation_type: str) -> int | None:
    """How many of a type run at once on a node; None for as many as there are."""
    if operation_type == OperationType.INSTALL:
        return int(settings.ENV.VENOM_MAX_DOWNLOADS)
    return MOST_RUNNING.get(operation_type)


def has_come(operation: Operation) -> bool:
    """Whether neither the cap of its type nor its opposite keeps it back."""
    return not (_is_full(operation) or _is_opposed(operation))


def _is_full(operation: Operation) -> bool:
    """Whether the cap of its type is reached on its node."""
    most = most_running(operation.operation_type)
    if most is None:
        return False
    _lock_node(operation)
    return _like(operation).running().count() >= most


def _is_opposed(operation: Operation) -> bool:
    """Whether its opposite works on the same model now."""
    if operation.operation_type not in OPPOSITES:
        return False
    _lock_node(operation)
    return _opposite(operation).running().exists()


def wake_others(operation: Operation) -> None:
    """An end makes room: for the oldest of a capped type, and for its opposites."""
    for following in _opposite(operation).next_in_line():
        operation_rows.dispatch(following)
    most = most_running(operation.operation_type)
    if most is None:
        return
    free = max(0, most - _like(operation).running().count())
    for following in _like(operation).next_in_line()[:free]:
        operation_rows.dispatch(following)


def _lock_node(operation: Operation) -> None:
    Node.objects.select_for_update().get(pk=operation.node_id)


def _like(operation: Operation) -> OperationQuerySet:
    rows: OperationQuerySet = Operation.objects.filter(
        operation_type=operation.operation_type, node_id=operation.node_id
    )
    return rows


def _opposite(operation: Operation) -> OperationQuerySet:
    """Names compare without case, as stores do; a runtime may know no provider."""
    rows: OperationQuerySet = Operation.objects.filter(
        operation_type__in=OPPOSITES.get(operation.operation_type, ()),
        node_id=operation.node_id,
        model_name__iexact=operation.model_name,
        provider__in=(operation.provider, ""),
    )
    return rows
