"""Activation: make a model on a runtime the one that answers, or leave all as it was.

`request_activation` refuses what cannot work before anything changes and writes the
operation; `perform_activation`, in the node's worker, checks, loads, confirms with one
real token, and only then commits. Nothing before the commit touches the former
activation, and every phase may run twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from history_app import audit
from models_app.choices import LogLevel, OperationType
from models_app.models import Operation
from models_app.services.operations import request_operation
from models_app.services.work import Cancelled, Fenced, Work
from runtime_app.choices import ActivationState
from runtime_app.events import activation_changed, runtime_changed
from runtime_app.governance.policy import bump_policy
from runtime_app.models import Activation, Runtime
from runtime_app.runtimes.base import RuntimeAdapter
from runtime_app.runtimes.registry import adapter_for
from runtime_app.schemas import server_payload
from runtime_app.services.active import active_activation, active_payload
from runtime_app.services.runtimes import find_runtime, list_now
from venom_site.lib.access import SYSTEM, Principal
from venom_site.lib.errors import (
    Conflict,
    InvalidBody,
    ModelNotInstalled,
    UpstreamFailed,
    VenomError,
    WireError,
)
from venom_site.lib.events import publish

logger = logging.getLogger(__name__)

Plan = list[dict[str, str]]


class NoActiveRuntime(Conflict):
    code = "no_active_runtime"


class RuntimeOffline(UpstreamFailed):
    """It could not be asked; `ActivationFailed` is for one that said no."""

    code = "runtime_offline"


class LoadFailed(UpstreamFailed):
    code = "load_failed"


class ConfirmationFailed(UpstreamFailed):
    code = "confirmation_failed"


def request_activation(
    runtime_name: str, model: str, *, actor: Principal, when: str = "now"
) -> Operation:
    """Write the operation; the same wish joins, another activation is 409.

    Asking for what is active already confirms it once more.
    """
    if when != "now":
        raise InvalidBody(
            _("Only «now» can be chosen: activating when idle is not built yet."),
            errors=[{"loc": "body.when", "message": "must be now"}],
        )
    runtime = find_runtime(runtime_name)
    served = _served_name(runtime, model)
    node = runtime.node.name
    return request_operation(
        OperationType.ACTIVATE,
        actor=actor,
        node=runtime.node,
        target_key=f"{node}|activation",
        lock_key=f"{node}|runtimes",
        provider=runtime.provider,
        runtime=runtime.name,
        model_name=served,
        params={"runtime_id": str(runtime.pk), "model": model},
    )


def request_switch(model: str, *, actor: Principal) -> Operation:
    """Another model on the runtime that is active now."""
    activation = active_activation()
    if activation is None:
        raise NoActiveRuntime(
            _("No runtime is active. Activate a model on one: POST /models/activate.")
        )
    return request_activation(activation.runtime.name, model, actor=actor)


def _served_name(runtime: Runtime, model: str) -> str:
    """The server's own name for `model`, asking it when the last check had none."""
    found = runtime.serves(model)
    if found is None:
        try:
            found = list_now(runtime).serves(model)
        except WireError as error:
            logger.info("model list not read runtime=%s %s", runtime.name, error)
    if found is None:
        raise ModelNotInstalled(
            _("%(runtime)s at %(endpoint)s does not have the model «%(model)s».")
            % {
                "runtime": runtime.display_name,
                "endpoint": runtime.base_url,
                "model": model,
            },
            runtime=runtime.name,
            model=model,
        )
    name: str = found["name"]
    return name


def plan_for(runtime: Runtime, model: str) -> Plan:
    """What will happen, in order; shown before anybody presses."""
    server = {"runtime": runtime.display_name, "model": model}
    seconds = {"n": f"{settings.ENV.VENOM_FIRST_BYTE_SECONDS_LOCAL:.0f}"}
    steps = (
        ("check", _("Check that %(runtime)s answers and lists %(model)s") % server),
        ("load", _("Load it, at most %(n)s s") % seconds),
        ("confirm", _("Confirm with one real token")),
        ("commit", _("Make it the active model")),
        ("tell", _("Tell the gateway and every open page")),
    )
    return [{"step": step, "title": title} for step, title in steps]


# In the worker


def perform_activation(work: Work) -> None:
    """Raises the error that ends the operation; the former activation then stays."""
    runtime = _runtime_of(work)
    with _errors_named(work, runtime, RuntimeOffline):
        adapter = adapter_for(runtime)
        served = _check(work, runtime, adapter)
    seconds = settings.ENV.VENOM_FIRST_BYTE_SECONDS_LOCAL
    with _phase(work, "loading", 30), _errors_named(work, runtime, LoadFailed):
        adapter.load(served, seconds=seconds, check=work.check)
    with (
        _phase(work, "confirming", 70),
        _errors_named(work, runtime, ConfirmationFailed),
    ):
        answered = adapter.confirm(served, seconds=seconds, check=work.check)
    if answered and answered != served:
        work.log(
            f"The server calls itself {answered!r}, not {served!r}.", LogLevel.WARNING
        )
    work.check()
    _commit(work, runtime, served)


def _runtime_of(work: Work) -> Runtime:
    runtime = Runtime.objects.of_profile().select_related("node")
    found = runtime.filter(pk=work.params["runtime_id"]).first()
    if found is None:
        raise RuntimeOffline(
            f"The runtime {work.operation.runtime} is no longer there."
        )
    return found


def _check(work: Work, runtime: Runtime, adapter: RuntimeAdapter) -> str:
    """The server answers now and lists the model under exactly this name."""
    model = work.operation.model_name
    with _phase(work, "checking", 10):
        runtime.served_models = adapter.list_models()
        found = runtime.serves(model)
        if found is None:
            raise ModelNotInstalled(
                f"{_place(runtime)} no longer lists the model {model}."
            )
    name: str = found["name"]
    return name


@contextmanager
def _phase(work: Work, phase: str, progress: float) -> Iterator[None]:
    """Report the phase, and log how long it took when it went well."""
    work.report(phase=phase, progress=progress, message="")
    began = time.monotonic()
    yield
    work.log(f"{phase.capitalize()} took {time.monotonic() - began:.2f} s.")


@contextmanager
def _errors_named(
    work: Work, runtime: Runtime, kind: type[VenomError]
) -> Iterator[None]:
    """A failure of the wire as a sentence naming model, runtime and endpoint."""
    try:
        yield
    except WireError as error:
        raise kind(
            f"{work.operation.model_name} on {_place(runtime)}: {error}"
        ) from error


def _place(runtime: Runtime) -> str:
    return f"{runtime.display_name} at {runtime.base_url}"


def _commit(work: Work, runtime: Runtime, served: str) -> None:
    """One transaction: the former one ends, the new one begins, everybody is told."""
    with transaction.atomic():
        _hold_the_claim(work)
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
    work.log(f"{served} on {_place(runtime)} is active.")


def _hold_the_claim(work: Work) -> None:
    """The row stays ours until this transaction ends, or nothing is written."""
    mine = Operation.objects.claimed_by(work.operation.pk, work.token)
    wanted = mine.filter(cancel_requested=False)
    if not wanted.update(phase="committing", progress=90):
        raise Cancelled if mine.exists() else Fenced


def _new(work: Work, runtime: Runtime, served: str) -> Activation:
    elsewhere = Activation.objects.default().exclude(node=runtime.node)
    return Activation(
        node=runtime.node,
        runtime=runtime,
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
