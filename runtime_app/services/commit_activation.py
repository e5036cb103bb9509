"""The end of an activation: one transaction makes it true and tells everybody.

Called only by `activate.perform_activation`, after the runtime has proved itself. May
run twice: what is active already is left as it is.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from history_app import audit
from models_app.models import Operation
from models_app.services.work import Cancelled, Fenced, Work
from runtime_app.choices import ActivationState, RuntimeStatus
from runtime_app.events import activation_changed, runtime_changed
from runtime_app.governance.policy import bump_policy
from runtime_app.models import Activation, Runtime
from runtime_app.schemas import server_payload
from runtime_app.services import alias_guard
from runtime_app.services.active import active_payload
from runtime_app.services.runtimes import installed_on, place
from venom_site.lib.access import SYSTEM
from venom_site.lib.events import publish


def commit(work: Work, runtime: Runtime, served: str) -> None:
    """One transaction: the former one ends, the new one begins, everybody is told."""
    with transaction.atomic():
        _hold_the_claim(work)
        _note_proof(runtime)
        alias_guard.forget(runtime)
        former = (
            Activation.objects.active()
            .filter(node=runtime.node)
            .select_related("runtime__node")
            .first()
        )
        if former is None or (former.runtime_id, former.served_name) != (
            runtime.pk,
            served,
        ):
            _replace(former, _new(work, runtime, served))
            _remember(runtime, served)
            bump_policy()
        _record(work, runtime, former, served)
        _announce(runtime, former)
    work.log(f"{served} on {place(runtime)} is active.")


def _hold_the_claim(work: Work) -> None:
    """The row stays ours until this transaction ends, or nothing is written. What is
    committed is not undone any more, whoever cancels."""
    mine = Operation.objects.claimed_by(work.operation.pk, work.token)
    wanted = mine.filter(cancel_requested=False)
    kept = work.operation.checkpoint | {"undo": {}}
    if not wanted.update(phase="committing", progress=90, checkpoint=kept):
        raise Cancelled if mine.exists() else Fenced


def _note_proof(runtime: Runtime) -> None:
    """What has just listed the model and answered is online, whatever the last health
    check saw; else the first answer after a start would say «unknown»."""
    Runtime.objects.filter(pk=runtime.pk).exclude(status=RuntimeStatus.DEGRADED).update(
        status=RuntimeStatus.ONLINE,
        error_message="",
        failed_checks=0,
        last_answer_at=timezone.now(),
    )
    unlisted = Runtime.objects.filter(pk=runtime.pk, served_models=[])
    unlisted.update(served_models=runtime.served_models)


def _new(work: Work, runtime: Runtime, served: str) -> Activation:
    elsewhere = Activation.objects.default().exclude(node=runtime.node)
    return Activation(
        node=runtime.node,
        runtime=runtime,
        installed_model=installed_on(
            runtime, served, str(work.params.get("revision", ""))
        ),
        model_name=served,
        served_name=served,
        state=ActivationState.ACTIVE,
        is_default=not elsewhere.exists(),
        operation_id=work.operation.pk,
        activated_by=work.operation.started_by,
    )


def _replace(former: Activation | None, new: Activation) -> None:
    if former is not None:
        former.state = ActivationState.FORMER
        former.ended_at = timezone.now()
        former.save(update_fields=["state", "ended_at"])
    new.save(force_insert=True)


def _remember(runtime: Runtime, served: str) -> None:
    if runtime.last_model == served:
        return
    rows = Runtime.objects.filter(pk=runtime.pk)
    rows.update(last_model=served, previous_model=runtime.last_model)


def _record(
    work: Work, runtime: Runtime, former: Activation | None, served: str
) -> None:
    audit.record(
        SYSTEM,
        "activation.commit",
        "runtime",
        runtime.pk,
        object_name=runtime.name,
        before=_facts(former),
        after={"model": served, "runtime": runtime.name},
        reason=f"operation {work.operation.pk} of {work.operation.started_by}",
    )


def _facts(activation: Activation | None) -> dict[str, Any]:
    if activation is None:
        return {}
    return {"model": activation.model_name, "runtime": activation.runtime.name}


def _announce(runtime: Runtime, former: Activation | None) -> None:
    """The chip and both cards change: the new runtime's and the former one's."""
    publish(activation_changed(active_payload()))
    touched = {runtime.pk} | ({former.runtime_id} if former else set())
    for row in Runtime.objects.filter(pk__in=touched).select_related("node"):
        publish(runtime_changed(server_payload(row)))
