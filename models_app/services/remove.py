"""Removing a model: what that would do, the wish, and the work.

`removal_of` is what a person reads before deciding; `request_remove` refuses by the
same rules; `perform_remove`, in the node's worker, asks them once more, since minutes
may have passed. The store forgets the model first, then its row goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from models_app.choices import VERSIONED_PROVIDERS, OperationType
from models_app.models import InstalledModel, Operation
from models_app.providers.registry import provider_for
from models_app.services.operations import request_operation
from models_app.services.registering import forget
from models_app.services.registry import is_active
from models_app.services.steps import Steps
from models_app.services.targets import model_target
from models_app.services.work import Work
from venom_site.lib.access import Principal
from venom_site.lib.errors import (
    Conflict,
    ForeignFolder,
    ModelActive,
    ModelPinned,
    OperationConflict,
)
from venom_site.lib.units import size_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What removing would do. `freed_bytes` is None where the size is unknown, and 0
    where another name holds the same bytes; `blocked` is empty when it may go."""

    freed_bytes: int | None
    shared_with: list[InstalledModel]
    blocked: str
    blocked_code: str
    effects: list[str]


def removal_of(model: InstalledModel) -> Removal:
    """For a page or a program to show; changes nothing."""
    shared = _sharing(model)
    refusal = _refusal(model) or _under_way(model)
    return Removal(
        freed_bytes=0 if shared else model.size_bytes,
        shared_with=shared,
        blocked=str(refusal.message) if refusal else "",
        blocked_code=refusal.code if refusal else "",
        effects=_effects(model, shared),
    )


def request_remove(
    model: InstalledModel, *, actor: Principal, delay_seconds: float = 0
) -> Operation:
    """Write the operation; a second wish joins, an open install of it is 409.

    With a delay nothing happens until then, and cancelling undoes the wish.
    """
    if refusal := _refusal(model):
        raise refusal
    later = timezone.now() + timedelta(seconds=delay_seconds)
    return request_operation(
        OperationType.REMOVE,
        actor=actor,
        node=model.node,
        target_key=model_target(model.node, model.provider, model.name),
        provider=model.provider,
        runtime=model.runtime,
        model_name=model.name,
        not_before=later if delay_seconds > 0 else None,
        params={"revision": model.revision} if model.revision else {},
    )


def _refusal(model: InstalledModel) -> Conflict | None:
    named = {"name": model.name}
    if model.is_foreign:
        return _foreign(model)
    if is_active(model):
        return ModelActive(
            _("“%(name)s” answers requests now. Activate another model first.") % named,
            model=model.name,
        )
    if model.pinned:
        return ModelPinned(
            _("“%(name)s” is pinned. Unpin it first.") % named, model=model.name
        )
    return None


def _foreign(model: InstalledModel) -> ForeignFolder:
    return ForeignFolder(
        _(
            "“%(name)s” lies in %(path)s, a folder of MODELS_SCAN_DIRS. Nothing is "
            "ever deleted there; its owner can do that."
        )
        % {"name": model.name, "path": model.path},
        model=model.name,
        path=model.path,
    )


def _under_way(model: InstalledModel) -> OperationConflict | None:
    """An open install, which holds the target; an open removal blocks nothing."""
    target = model_target(model.node, model.provider, model.name)
    rows = Operation.objects.open().filter(target_key=target)
    holder = rows.exclude(operation_type=OperationType.REMOVE).first()
    if holder is None:
        return None
    return OperationConflict(
        _("“%(title)s” is under way and holds this target.") % {"title": holder.title},
        operation_id=str(holder.pk),
    )


def _sharing(model: InstalledModel) -> list[InstalledModel]:
    """Other names of the same bytes; the store keeps them as long as one is left."""
    if not model.digest or model.provider in VERSIONED_PROVIDERS:
        return []
    same = InstalledModel.objects.filter(
        node_id=model.node_id, provider=model.provider, digest=model.digest
    )
    return list(same.exclude(pk=model.pk).select_related("node"))


def _effects(model: InstalledModel, shared: list[InstalledModel]) -> list[str]:
    effects = []
    if shared:
        names = ", ".join(other.name for other in shared)
        effects.append(
            _("Nothing is freed: %(names)s holds the same bytes.") % {"names": names}
        )
    elif model.size_bytes is not None:
        freed = {"size": size_text(model.size_bytes)}
        effects.append(_("Up to %(size)s on the disk are freed.") % freed)
    if model.requests_day:
        effects.append(
            ngettext(
                "%(n)s request used it in the last 24 hours.",
                "%(n)s requests used it in the last 24 hours.",
                model.requests_day,
            )
            % {"n": model.requests_day}
        )
    if model.active_on.exclude(state="active").exists():
        effects.append(_("It was active before; going back to it needs a download."))
    return effects


# In the worker


def perform_remove(work: Work) -> None:
    """Out of memory, out of the store, out of the registry; fine when it is gone."""
    operation = work.operation
    steps = Steps(work)
    steps.enter("checking", progress=5)
    model = _row_of(operation)
    freed = _checked(model) if model else ""
    steps.enter("unloading", progress=20)
    provider_for(operation.provider).remove(
        operation.model_name, _revision_of(operation), check=work.check
    )
    steps.enter("removing", progress=90)
    if model is not None:
        forget(model)
    steps.leave()
    work.log(
        f"{operation.model_name} was removed in {work.duration()}. "
        f"{freed or 'It was gone already.'}"
    )


def _row_of(operation: Operation) -> InstalledModel | None:
    rows = InstalledModel.objects.filter(
        node_id=operation.node_id,
        provider=operation.provider,
        name__iexact=operation.model_name,
        revision=_revision_of(operation),
    )
    return rows.select_related("node").first()


def _revision_of(operation: Operation) -> str:
    return str(operation.params.get("revision", ""))


def _checked(model: InstalledModel) -> str:
    """The line about what will be free; raises where it may not go any more."""
    if refusal := _refusal(model):
        raise refusal
    if shared := _sharing(model):
        names = ", ".join(other.name for other in shared)
        return f"Nothing was freed: {names} holds the same bytes."
    return f"Up to {size_text(model.size_bytes)} were freed."
