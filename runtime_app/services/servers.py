"""The wishes to start, stop and restart a server.

They refuse what cannot work before anything changes and write operations, which
`server_operations.py` carries out in the node's worker, one at a time with loads and
activations. The row says who manages the server, so any node's web process may ask.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from models_app.choices import OperationType
from models_app.models import InstalledModel, Operation
from models_app.services import targets
from models_app.services.operations import request_operation
from runtime_app.choices import PROFILE_KINDS, ManagedBy, RuntimeKind, Wish
from runtime_app.models import Runtime
from runtime_app.runtimes.control import Holder
from runtime_app.runtimes.controls import ExternalControl, control_for
from runtime_app.runtimes.launches import ModelNeeded, launch_for
from runtime_app.services.runtimes import (
    installed_on,
    lacks,
    outside_profile,
    refuse_while_removed,
)
from runtime_app.services.server_work import NotOurs, held_by_another
from runtime_app.services.when import NOW, WHEN_IDLE, refuse_unknown_when
from venom_site.lib.access import SYSTEM, Principal
from venom_site.lib.errors import Conflict, IncompatibleRuntime, ModelNotInstalled


class ServerRunning(Conflict):
    """It runs with another model; `model` names it."""

    code = "server_running"


def request_start(runtime: Runtime, *, actor: Principal, model: str = "") -> Operation:
    """Start it; vLLM without `model` with the one that it served last.

    One that runs already so is done at once. Raises `NotOurs`, `OutsideProfile`,
    `ServerRunning`, `ModelNotInstalled` and what `launch_for` raises.
    """
    _refuse_foreign(runtime)
    name = _model_or_refused(runtime, model)
    _refuse_running_another(runtime, name)
    return _request(OperationType.START, runtime, actor, name)


def request_stop(runtime: Runtime, *, actor: Principal, when: str = NOW) -> Operation:
    """Stop it after its requests have ended: `now` gives them their seconds, `idle`
    waits until none runs. One that does not run is done at once."""
    refuse_unknown_when(when)
    _refuse_foreign(runtime)
    return _request(OperationType.STOP, runtime, actor, "", **_when(when))


def request_restart(
    runtime: Runtime, *, actor: Principal, when: str = NOW
) -> Operation:
    """Stop it as `request_stop` does and start it with what it ran, read anew."""
    refuse_unknown_when(when)
    _refuse_foreign(runtime)
    name = _model_or_refused(runtime, "")
    return _request(OperationType.RESTART, runtime, actor, name, **_when(when))


def _when(when: str) -> dict[str, Any]:
    return {"when": when} if when == WHEN_IDLE else {}


def request_again(runtime: Runtime) -> Operation:
    """After a crash: with just what it ran."""
    name = _model_or_refused(runtime, "")
    return _request(OperationType.START, runtime, SYSTEM, name, again=True)


def last_served(runtime: Runtime) -> str:
    """The model with which a start without a name begins; empty if none is known."""
    initial = settings.ENV.VLLM_ACTIVE_MODEL
    return runtime.launch.get("served_name") or runtime.last_model or initial


def _request(
    kind: OperationType,
    runtime: Runtime,
    actor: Principal,
    model: str,
    **params: Any,
) -> Operation:
    return request_operation(
        kind,
        actor=actor,
        node=runtime.node,
        target_key=targets.server_target(runtime.node, runtime.name),
        lock_key=targets.runtimes_lock(runtime.node),
        provider=runtime.provider,
        runtime=runtime.name,
        model_name=model,
        params={"runtime_id": str(runtime.pk)} | params,
    )


def _refuse_foreign(runtime: Runtime) -> None:
    if runtime.kind not in PROFILE_KINDS[settings.RUNTIME_PROFILE]:
        raise outside_profile(runtime.name, runtime.kind)
    if runtime.managed_by != ManagedBy.EXTERNAL:
        return
    if runtime.holder:
        raise held_by_another(runtime, Holder(**runtime.holder))
    control = control_for(runtime)
    if isinstance(control, ExternalControl):
        raise NotOurs(control.why, runtime=runtime.name)


def _model_or_refused(runtime: Runtime, model: str) -> str:
    """The name of the model that it starts with; empty for what loads models later."""
    if runtime.kind == RuntimeKind.OLLAMA:
        if model:
            raise IncompatibleRuntime(
                _(
                    "%(runtime)s starts without a model and loads it later: leave the "
                    "model out, or load it afterwards."
                )
                % {"runtime": runtime.display_name},
                runtime=runtime.name,
                model=model,
            )
        return ""
    name = model or last_served(runtime)
    if not name:
        raise ModelNeeded(
            _(
                "%(runtime)s starts with one model and none was served before. Name an "
                "installed model, or activate one: that starts the server."
            )
            % {"runtime": runtime.display_name},
            runtime=runtime.name,
        )
    found = installed_on(runtime, name)
    if found is None:
        raise ModelNotInstalled(lacks(runtime, name), runtime=runtime.name, model=name)
    refuse_while_removed(runtime, name)
    _prove_launchable(runtime, found)
    return found.name


def _prove_launchable(runtime: Runtime, model: InstalledModel) -> None:
    """Only on its own node, where its command and folders lie."""
    if runtime.node.name == settings.NODE:
        launch_for(runtime, model)


def _refuse_running_another(runtime: Runtime, model: str) -> None:
    running = runtime.launch.get("served_name", "")
    is_up = runtime.wish == Wish.RUNNING and runtime.pid is not None
    if is_up and running and running != model:
        raise ServerRunning(
            _(
                "%(runtime)s runs with “%(running)s”. Activate “%(model)s” to switch, "
                "or stop the server first."
            )
            % {
                "runtime": runtime.display_name,
                "running": running,
                "model": model,
            },
            runtime=runtime.name,
            model=running,
        )
