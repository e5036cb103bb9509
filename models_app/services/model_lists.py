"""Lists of models: one line for each, in the order in which people look for them.

Pages, API, terminal and the upper floor read them here. What a model is doing follows
from its open operation and is not stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.db.models import Count, Exists, OuterRef, QuerySet

from models_app.choices import PROFILE_PROVIDERS, ModelStatus, OperationType
from models_app.models import InstalledModel, Operation
from models_app.querysets import InstalledModelQuerySet, OperationQuerySet
from models_app.services.model_filters import ModelFilter
from models_app.services.registry import Key, installed_here, is_active
from models_app.services.registry import is_misnamed as is_misnamed_now


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One line of a list; `model` is None while it is only on its way here.

    `status` is a word of `ModelStatus`; `operation` the open install or removal.
    """

    model: InstalledModel | None
    name: str
    provider: str
    runtime: str
    status: str
    operation: Operation | None
    is_active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPage:
    """Some rows, how many were found in all, and where in them this page lies.

    `installed` counts what lies here whatever was asked for, `families` names it;
    `installs` are the node's open installs, whatever was asked for.
    """

    rows: list[ModelRow]
    total: int
    page: int
    pages: int
    installed: int
    families: list[str]
    installs: list[Operation]


def list_rows(
    wanted: ModelFilter | None = None, *, page: int = 1, per_page: int = 50
) -> RowPage:
    """One page of this node's models: on their way, broken, active, last used, name.

    Three queries whatever there is; a page beyond the last one is the last one.
    """
    wanted = wanted or ModelFilter()
    operations = _open_operations()
    coming = [
        row
        for row in _on_their_way(operations)
        if wanted.finds_coming(row.name, row.provider)
    ]
    families = _families(wanted)
    total = len(coming) + sum(found for _, _, found in families)
    pages = max(1, -(-total // per_page))
    page = min(max(1, page), pages)
    first = (page - 1) * per_page
    shown = coming[first : first + per_page]
    after = max(0, first - len(coming))
    models = _found(wanted)[after : after + per_page - len(shown)]
    return RowPage(
        rows=[*shown, *(_row(model, operations) for model in models)],
        total=total,
        page=page,
        pages=pages,
        installed=sum(number for _, number, _ in families),
        families=[family for family, _, _ in families if family],
        installs=[each for each in operations.values() if _is_install(each)],
    )


def _families(wanted: ModelFilter) -> list[tuple[str, int, int]]:
    """Each family of this node: its name, how many it has, how many were found."""
    if not wanted.condition:
        rows = _in_families(settings.NODE, settings.RUNTIME_PROFILE).all()
        return [(family, number, number) for family, number in rows]
    found = Count("pk", filter=wanted.condition)
    told = _wanted(wanted).values("family").annotate(number=Count("pk"), found=found)
    return list(told.order_by("family").values_list("family", "number", "found"))


def _found(wanted: ModelFilter) -> InstalledModelQuerySet:
    """What the filter finds, in its order and with all that a line shows."""
    if not wanted.condition:
        return _listed(settings.NODE, settings.RUNTIME_PROFILE, wanted.order).all()
    rows = _wanted(wanted).filter(wanted.condition).with_versions().for_display()
    return rows.in_list_order(wanted.order)


# Putting such a query together takes as long as running it. The usual ones are put
# together once for each setting and cloned; what they hold is never run itself.


@lru_cache(maxsize=8)
def _in_families(
    _node: str, _profile: str
) -> QuerySet[InstalledModel, tuple[str, int]]:
    rows = installed_here().leading().values("family").annotate(number=Count("pk"))
    return rows.order_by("family").values_list("family", "number")


@lru_cache(maxsize=8)
def _listed(_node: str, _profile: str, order: str) -> InstalledModelQuerySet:
    rows = installed_here().leading().with_versions().for_display()
    return rows.in_list_order(order)


@lru_cache(maxsize=8)
def _at_work(_node: str) -> OperationQuerySet:
    same = InstalledModel.objects.filter(
        node_id=OuterRef("node_id"),
        provider=OuterRef("provider"),
        name__iexact=OuterRef("model_name"),
    )
    return _work().for_display().annotate(is_installed=Exists(same))


def _wanted(wanted: ModelFilter) -> InstalledModelQuerySet:
    """This node's models, with what a filter asks of them where there is one."""
    if not wanted.condition:
        return installed_here().leading()
    work = _work().filter(
        provider=OuterRef("provider"), model_name__iexact=OuterRef("name")
    )
    rows = installed_here().leading().with_activity()
    return rows.annotate(is_changing=Exists(work))


def all_rows() -> list[ModelRow]:
    """Everything in the order of `list_rows`, in two queries."""
    operations = _open_operations()
    installed = [_row(model, operations) for model in _found(ModelFilter())]
    return [*_on_their_way(operations), *installed]


def row_of(model: InstalledModel) -> ModelRow:
    """The line of one model."""
    return _row(model, _open_operations(model.name))


def _row(model: InstalledModel, operations: dict[Key, Operation]) -> ModelRow:
    operation = operations.get((model.provider, model.name.lower()))
    return ModelRow(
        model=model,
        name=model.name,
        provider=model.provider,
        runtime=model.runtime,
        status=_status(model, operation),
        operation=operation,
        is_active=is_active(model),
    )


def _status(model: InstalledModel | None, operation: Operation | None) -> str:
    if operation is None and model is not None:
        is_misnamed = model.status == ModelStatus.INSTALLED and is_misnamed_now(model)
        return ModelStatus.ALIAS_MISMATCH.value if is_misnamed else model.status
    if operation is None:
        return ModelStatus.AVAILABLE.value
    if operation.operation_type == OperationType.REMOVE:
        return ModelStatus.REMOVING.value
    return ModelStatus.UPDATING.value if model else ModelStatus.DOWNLOADING.value


def _open_operations(name: str = "") -> dict[Key, Operation]:
    """The open installs and removals of this node by what they are about."""
    rows = _at_work(settings.NODE)
    rows = rows.filter(model_name__iexact=name) if name else rows.all()
    return {(row.provider, row.model_name.lower()): row for row in rows}


def _work() -> OperationQuerySet:
    rows: OperationQuerySet = Operation.objects.open().filter(
        node__name=settings.NODE,
        operation_type__in=(OperationType.INSTALL, OperationType.REMOVE),
    )
    return rows


def _on_their_way(operations: dict[Key, Operation]) -> list[ModelRow]:
    """Installs of what has no row yet, the newest first."""
    shown = PROFILE_PROVIDERS[settings.RUNTIME_PROFILE]
    return [
        _coming(row)
        for row in operations.values()
        if _is_install(row)
        and row.provider in shown
        and not getattr(row, "is_installed", False)
    ]


def _is_install(operation: Operation) -> bool:
    return operation.operation_type == OperationType.INSTALL


def _coming(operation: Operation) -> ModelRow:
    return ModelRow(
        model=None,
        name=operation.model_name,
        provider=operation.provider,
        runtime=operation.runtime,
        status=_status(None, operation),
        operation=operation,
        is_active=False,
    )
