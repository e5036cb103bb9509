"""Carrying out start and stop, in the node's worker; every step may run twice.

A stop lets the running requests of all the server's models end first, as a switch does.
"""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from models_app.models import InstalledModel
from models_app.services.steps import Steps
from models_app.services.work import Cancelled, Work
from runtime_app.choices import RuntimeKind, RuntimeStatus
from runtime_app.models import Runtime
from runtime_app.runtimes.launches import launch_for
from runtime_app.runtimes.registry import adapter_for
from runtime_app.services import crashes
from runtime_app.services.drain import (
    await_drained,
    await_idle,
    begin_drain,
    end_drain,
)
from runtime_app.services.former_activation import DRAIN_SECONDS
from runtime_app.services.room_makers import why_it_stays
from runtime_app.services.runtimes import (
    errors_named,
    installed_on,
    lacks,
    place,
    refuse_while_removed,
    runtime_of,
)
from runtime_app.services.server_work import (
    StartFailed,
    give_up,
    ours_or_refused,
    start_server,
    stop_server,
)
from runtime_app.services.when import WHEN_IDLE
from venom_site.lib.errors import ModelNotInstalled, VenomError

ANSWERING = frozenset({RuntimeStatus.ONLINE, RuntimeStatus.DEGRADED})


def perform_start(work: Work) -> None:
    """Raises the error that ends the operation; nothing then runs."""
    steps = Steps(work)
    steps.enter("checking", progress=10)
    runtime = runtime_of(work)
    ours_or_refused(runtime)
    try:
        start_and_confirm(work, steps, runtime)
    except VenomError as error:
        crashes.note_failed_start(work.operation, runtime, str(error))
        raise
    tell_serving(work, runtime)
    steps.leave()


def perform_stop(work: Work) -> None:
    steps = Steps(work)
    steps.enter("checking", progress=10)
    runtime = runtime_of(work)
    if why := why_it_stays(work, runtime):
        work.log(why)
        return
    ours_or_refused(runtime, to_stop=True)
    stop_after_drain(work, steps, runtime)
    crashes.forget(runtime)
    steps.leave()


def tell_serving(work: Work, runtime: Runtime) -> None:
    """After a crash the count goes on for a while; a person's start begins anew."""
    if work.params.get("again"):
        crashes.note_restart(runtime)
        crashes.note_serving(runtime)
    else:
        crashes.forget(runtime)


def start_and_confirm(work: Work, steps: Steps, runtime: Runtime) -> None:
    launch = launch_for(runtime, model_of(work, runtime))
    steps.enter("starting", progress=40)
    start_server(work, runtime, launch)
    steps.enter("confirming", progress=80)
    if launch.served_name:
        _confirm(work, runtime, launch.served_name)
    work.log(f"{place(runtime)} serves, after {work.duration()}.")


def _confirm(work: Work, runtime: Runtime, model: str) -> None:
    """One real token: a list of names is no proof that anything is computed. One that
    gives none is stopped again."""
    try:
        with errors_named(model, runtime, StartFailed):
            adapter_for(runtime).confirm(
                model,
                seconds=settings.ENV.VENOM_FIRST_BYTE_SECONDS_LOCAL,
                check=work.check,
            )
    except (Cancelled, StartFailed) as error:
        give_up(runtime, str(error))
        raise


def stop_after_drain(work: Work, steps: Steps, runtime: Runtime) -> None:
    if runtime.status in ANSWERING:
        steps.enter("draining", progress=20)
        if work.params.get("when") == WHEN_IDLE:
            await_idle(work, runtime.name, "")
        _stop_drained(work, steps, runtime)
    else:
        steps.enter("stopping", progress=30)
        stop_server(work, runtime)


def _stop_drained(work: Work, steps: Steps, runtime: Runtime) -> None:
    """Of all its models. A worker that leaves keeps the drain for the next claim."""
    drain = begin_drain(runtime, "", seconds=DRAIN_SECONDS, work=work)
    try:
        await_drained(work, drain)
        steps.enter("stopping", progress=30)
        stop_server(work, runtime)
    except (Cancelled, VenomError):
        end_drain(drain)
        raise
    end_drain(drain)


def model_of(work: Work, runtime: Runtime) -> InstalledModel | None:
    """The registered model of the operation, the revision that ran before if it did."""
    name = work.operation.model_name
    if not name or runtime.kind == RuntimeKind.OLLAMA:
        return None
    refuse_while_removed(runtime, name)
    found = _same_folder(runtime, name) or installed_on(runtime, name)
    if found is None:
        raise ModelNotInstalled(lacks(runtime, name), runtime=runtime.name, model=name)
    return found


def _same_folder(runtime: Runtime, name: str) -> InstalledModel | None:
    folder = runtime.launch.get("model", "")
    if not folder or runtime.launch.get("served_name") != name:
        return None
    if not Path(folder).is_dir():
        return None
    rows = InstalledModel.objects.filter(node_id=runtime.node_id, path=folder)
    return rows.select_related("node").first()
