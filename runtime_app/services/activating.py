"""Carrying an activation out, in the node's worker: in steps that are proved.

Nothing is stopped before the checks passed. What is changed is kept in the checkpoint
before, so that a failure, a cancel or the next worker brings the last good activation
back (`roll_back.py`). It commits only after the server's own list and one real token
have proved the model. Every step may run twice.
"""

from __future__ import annotations

from models_app.choices import LogLevel
from models_app.services.work import Cancelled, Work
from runtime_app.models import Activation, Runtime
from runtime_app.services import activation_alerts
from runtime_app.services.commit_activation import commit
from runtime_app.services.former_activation import (
    is_committed,
    release,
    remember_former,
)
from runtime_app.services.memory_seen import note_memory
from runtime_app.services.roll_back import (
    FailedBefore,
    ask_back,
    forget,
    roll_back,
)
from runtime_app.services.runtimes import runtime_of
from runtime_app.services.switch import Switch
from venom_site.lib.errors import VenomError


def perform_activation(work: Work) -> None:
    """Raises the error that ends the operation; the former activation then stays."""
    runtime = runtime_of(work)
    former = remember_former(work, runtime)
    switch = Switch(work, runtime, former)
    if is_committed(work, runtime):
        switch.take_as_proved()
        _finish(work, switch)
        return
    try:
        _go_on_undoing(work)
        switch.prove()
        switch.steps.enter("committing", progress=90)
        commit(work, runtime, switch.way.served)
    except Cancelled:
        _undo_cancelled(work, former)
        raise
    except VenomError as error:
        raise _undo_failed(work, runtime, former, error) from error
    activation_alerts.tell_done(work.operation, runtime)
    _finish(work, switch)


def _go_on_undoing(work: Work) -> None:
    """A claim whose worker was lost on the way back goes on with the way back."""
    kept = work.operation.checkpoint
    if kept.get("cancelled"):
        raise Cancelled
    if failed := kept.get("failed"):
        raise FailedBefore(failed["code"], failed["message"])


def _undo_cancelled(work: Work, former: Activation | None) -> None:
    if not work.operation.must_undo:
        with work.undoing():
            forget(work)  # who was held for it goes on
        ask_back(work, former)
        return
    with work.undoing():
        work.checkpoint(cancelled=True)
        work.report(message="Cancelled: bringing back what was there before.")
    roll_back(work, former)


def _undo_failed(
    work: Work, runtime: Runtime, former: Activation | None, error: VenomError
) -> VenomError:
    """The error to end with: the cause, and what could not be brought back."""
    failed = {"code": error.code, "message": str(error.message)}
    with work.undoing():
        work.checkpoint(failed=failed)
        work.report(message="Failed: bringing back what was there before.")
    lost = roll_back(work, former)
    told = FailedBefore(error.code, f"{error} {lost}") if lost else error
    activation_alerts.tell_failed(work.operation, runtime, told)
    return told


def _finish(work: Work, switch: Switch) -> None:
    """What is left to do once it is active; nothing of it can fail the activation."""
    steps, runtime, former = switch.steps, switch.runtime, switch.former
    if work.operation.checkpoint.get("coming"):
        with work.undoing():
            forget(work)  # who was held for it goes on; later drains are the release's
    try:
        steps.enter("releasing", progress=95)
        release(work, former if switch.leaves else None)
        steps.leave()
        work.log(f"{switch.way.served} answers, after {work.duration()}.")
    except Cancelled:
        served = switch.way.served
        work.log(f"Too late to cancel: {served} is active.", LogLevel.WARNING)
    note_memory(runtime)
    if former is not None and former.runtime_id != runtime.pk:
        note_memory(former.runtime)
