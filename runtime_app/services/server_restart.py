"""Carrying out a restart, in the node's worker; every step may run twice.

The way back is that of an activation: how the server was stands in the checkpoint
before it is stopped.
"""

from __future__ import annotations

from models_app.services.steps import Steps
from models_app.services.work import Work
from runtime_app.runtimes.launches import launch_for, was_launched
from runtime_app.services.launch_proof import prove_startable
from runtime_app.services.roll_back import FailedBefore, forget, remember, roll_back
from runtime_app.services.runtimes import runtime_of
from runtime_app.services.server_operations import (
    model_of,
    start_and_confirm,
    stop_after_drain,
    tell_serving,
)
from runtime_app.services.server_work import ours_or_refused
from venom_site.lib.errors import VenomError


def perform_restart(work: Work) -> None:
    """What it starts with is proved before anything stops, and where it does not start
    after all, the server runs again as it did before."""
    steps = Steps(work)
    steps.enter("checking", progress=10)
    runtime = runtime_of(work)
    if failed := work.operation.checkpoint.get("failed"):
        raise _as_before(work, FailedBefore(failed["code"], failed["message"]))
    ours_or_refused(runtime)
    launch = launch_for(runtime, model_of(work, runtime))
    prove_startable(runtime, launch)
    if not work.operation.checkpoint.get("stopped"):
        if was_launched(runtime) != launch:  # the same one is not tried twice
            remember(work, runtime)
        stop_after_drain(work, steps, runtime)
        work.checkpoint(stopped=True)
    try:
        start_and_confirm(work, steps, runtime)
    except VenomError as error:
        raise _as_before(work, error) from error
    forget(work)
    tell_serving(work, runtime)
    steps.leave()


def _as_before(work: Work, error: VenomError) -> VenomError:
    """The error to end with, once the server runs with its former launch again."""
    if not work.operation.checkpoint.get("undo"):
        return error
    failed = {"code": error.code, "message": str(error.message)}
    with work.undoing():
        work.checkpoint(failed=failed)
        work.report(message="Failed: starting it again as it was.")
    lost = roll_back(work, None)
    return FailedBefore(error.code, f"{error} {lost}") if lost else error
