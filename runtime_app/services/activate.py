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

from django.conf import settings
from django.utils.translation import gettext as _

from models_app.choices import LogLevel, OperationType
from models_app.models import Operation
from models_app.services.operations import request_operation
from models_app.services.work import Work
from runtime_app.models import Runtime
from runtime_app.runtimes.base import RuntimeAdapter
from runtime_app.runtimes.registry import adapter_for
from runtime_app.services.active import active_activation
from runtime_app.services.commit_activation import commit, place
from runtime_app.services.runtimes import find_runtime, list_now
from venom_site.lib.access import Principal
from venom_site.lib.errors import (
    Conflict,
    InvalidBody,
    ModelNotInstalled,
    UpstreamFailed,
    VenomError,
    WireError,
)

logger = logging.getLogger(__name__)

Plan = list[dict[str, str]]


class NoActiveRuntime(Conflict):
    code = "no_active_runtime"


class RuntimeOffline(UpstreamFailed):
    """It could not be asked, or what it said could not be used."""

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
            _("Only “now” can be chosen: activating when idle is not built yet."),
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
            _("No runtime is active. POST /api/v1/models/activate makes one active.")
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
            _("%(runtime)s at %(endpoint)s does not have the model “%(model)s”.")
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
    commit(work, runtime, served)


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
                f"{place(runtime)} no longer lists the model {model}."
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
            f"{work.operation.model_name} on {place(runtime)}: {error}"
        ) from error
