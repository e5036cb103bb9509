"""Starting and stopping a server inside an operation, in its node's worker.

Used by the operations of `starting.py` and by activations. Both may run twice: what we
started outlives the worker and is found again by the row's `process`. On a failure our
process is stopped again and the cause is quoted.
"""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from models_app.choices import LogLevel
from models_app.services.work import Cancelled, Work
from runtime_app.choices import RuntimeKind, RuntimeStatus, Wish
from runtime_app.models import Runtime
from runtime_app.runtimes.base import Check, Observation
from runtime_app.runtimes.control import Holder, Launch, ProcessSeen, ServerControl
from runtime_app.runtimes.controls import ALIVE, ExternalControl, control_for
from runtime_app.runtimes.launches import kept, was_launched
from runtime_app.runtimes.registry import adapter_for
from runtime_app.services.runtimes import place
from runtime_app.services.server_rows import GONE, note, process_fields
from venom_site.lib.errors import Conflict, UpstreamFailed, WireError
from venom_site.lib.queue import send_job

LOOK_SECONDS = 0.25  # at the processes
ASK_SECONDS = 0.1  # a port that refuses costs next to nothing
LOADS_LATER_SECONDS = 60.0  # Ollama loads its models later: it answers in seconds
CANCELLED_GRACE_SECONDS = 1.0  # what is only starting answers nobody
CRASHED_GRACE_SECONDS = 2.0


class NotOurs(Conflict):
    """Somebody else started it: it is asked, never started or stopped by us."""

    code = "not_ours"


class StartFailed(UpstreamFailed):
    """It did not come up; the sentence quotes the first cause."""

    code = "start_failed"


class StopFailed(UpstreamFailed):
    code = "stop_failed"


def start_server(work: Work, runtime: Runtime, launch: Launch) -> None:
    """Start it and return when its own list carries `launch.served_name` (for vLLM
    from the folder `launch.model`). One that already runs so is only waited for.

    Raises `NotOurs`, and `StartFailed` quoting the cause after our process is stopped
    again. The row carries identity and launch before the waiting begins.
    """
    ours_or_refused(runtime)
    try:
        if not is_running(runtime, launch):
            _begin(work, runtime, launch)
        found = _await_serving(work, runtime, launch)
    except Cancelled:
        give_up(runtime, "", CANCELLED_GRACE_SECONDS)
        raise
    except WireError as error:
        sentence = f"{_called(runtime, launch)} did not start: {error}"
        give_up(runtime, sentence, settings.ENV.VENOM_STOP_GRACE_SECONDS)
        raise StartFailed(sentence, runtime=runtime.name) from error
    note(runtime, **_serving(runtime, found))
    # The check also begins to watch over its process.
    send_job("runtime_app.check_health", queue=runtime.node.queue, life_seconds=5)


def stop_server(work: Work, runtime: Runtime) -> None:
    """Stop it and return when it is proved that nothing of it is left. One that does
    not run is done at once. Raises `NotOurs`, and `StopFailed` naming what survived.

    Who has begun to stop goes on to the end: a wish to cancel comes too late.
    """
    control = ours_or_refused(runtime, to_stop=True)
    note(
        runtime,
        status=RuntimeStatus.STOPPING,
        wish=Wish.STOPPED,
        start_again_at=None,
    )
    try:
        control.stop(
            grace_seconds=settings.ENV.VENOM_STOP_GRACE_SECONDS,
            check=_unless_cancelled(work),
        )
    except WireError as error:
        sentence = f"{place(runtime)} was not stopped: {error}"
        note(runtime, **process_fields(control.look()), error_message=sentence[:500])
        raise StopFailed(sentence, runtime=runtime.name) from error
    note(runtime, **GONE, **_at_rest(""))
    work.log(f"{place(runtime)} has stopped.")


def ours_or_refused(runtime: Runtime, *, to_stop: bool = False) -> ServerControl:
    """The control that may start or stop it now; raises `NotOurs` saying who may.

    One that is to run may be stopped also while somebody else holds its port: that
    takes the wish back, and ends the conflict.
    """
    control = control_for(runtime)
    seen = control.look()
    if isinstance(control, ExternalControl):
        raise NotOurs(control.why, runtime=runtime.name)
    is_wanted = to_stop and runtime.wish != Wish.NONE
    if seen.holder is not None and seen.state not in ALIVE and not is_wanted:
        raise held_by_another(runtime, seen.holder)
    return control


def held_by_another(runtime: Runtime, holder: Holder | None) -> NotOurs:
    """The refusal that names whose process holds the port, and the way out."""
    words = {
        "address": runtime.base_url,
        "runtime": runtime.display_name,
        "pid": holder.pid if holder and holder.pid else "?",
        "user": holder.user if holder and holder.user else "?",
        "command": holder.command if holder else "",
    }
    return NotOurs(
        _(
            "Process %(pid)s of %(user)s (%(command)s) holds the port of %(runtime)s "
            "at %(address)s. Venom did not start it and does not stop it: stop it "
            "where it was started, then start %(runtime)s here."
        )
        % words,
        runtime=runtime.name,
        holder={name: words[name] for name in ("pid", "user", "command")},
    )


def is_running(runtime: Runtime, launch: Launch) -> bool:
    """Whether our process lives and was started with just this."""
    is_alive = control_for(runtime).look().state in ALIVE
    return is_alive and was_launched(runtime) == launch


def _begin(work: Work, runtime: Runtime, launch: Launch) -> None:
    control = control_for(runtime)
    before = control.look()
    if before.state in ALIVE:
        raise WireError(
            "It runs already, started with something else. Stop it first.",
            permanent=True,
        )
    if before.state == "crashed":  # what a dead server left behind holds its memory
        control.stop(grace_seconds=CRASHED_GRACE_SECONDS, check=work.check)
    note(
        runtime,
        status=RuntimeStatus.STARTING,
        wish=Wish.RUNNING,
        launch=kept(launch),
        error_message="",
        start_again_at=None,
    )
    seen = control.start(launch)
    note(runtime, status=RuntimeStatus.STARTING, **process_fields(seen))
    work.log(f"{_called(runtime, launch)} was started as process {seen.pid or '?'}.")


def _await_serving(work: Work, runtime: Runtime, launch: Launch) -> Observation:
    """What it says once it serves; raises `WireError` with the cause or the limit."""
    control = control_for(runtime)  # now with the identity of what was started
    seconds = _longest(runtime)
    ends, looked_at = time.monotonic() + seconds, -LOOK_SECONDS
    while (now := time.monotonic()) < ends:
        if now - looked_at >= LOOK_SECONDS:
            _prove_alive(control)
            looked_at = now
        found = adapter_for(runtime).observe()
        if not found.is_failure:
            _prove_named(runtime, launch, found)
            return found
        work.wait(ASK_SECONDS)
    said = control.cause()
    raise WireError(
        f"It did not answer within {seconds:.0f} s." + (f" {said}" if said else "")
    )


def _longest(runtime: Runtime) -> float:
    if runtime.kind == RuntimeKind.OLLAMA:
        return LOADS_LATER_SECONDS
    return settings.ENV.VLLM_START_TIMEOUT_SECONDS


def _prove_alive(control: ServerControl) -> None:
    seen = control.look()
    if seen.state in ALIVE or seen.state == "unknown":
        return
    raise WireError(control.cause() or _ending_words(seen), permanent=True)


def _ending_words(seen: ProcessSeen) -> str:
    if seen.exit_code is None:
        return "Its process ended without a word."
    return f"Its process ended with exit code {seen.exit_code} without a word."


def _prove_named(runtime: Runtime, launch: Launch, found: Observation) -> None:
    """The server's own list carries the name, and the folder where it says one."""
    if not launch.served_name:
        return
    entries = found.models or []
    entry = next((e for e in entries if e["name"] == launch.served_name), None)
    if entry is None:
        names = ", ".join(str(e["name"]) for e in entries) or "no model"
        raise WireError(f"It serves {names}, not {launch.served_name}.", permanent=True)
    root = entry.get("root") or launch.model
    if root != launch.model:
        raise WireError(
            f"It serves {launch.served_name} from {root}, not from {launch.model}.",
            permanent=True,
        )


def give_up(
    runtime: Runtime, sentence: str, grace_seconds: float = CANCELLED_GRACE_SECONDS
) -> None:
    """Stop what we have started and say in the row why nothing runs; never raises
    `WireError`."""
    control, survived = control_for(runtime), {}
    try:
        control.stop(grace_seconds=grace_seconds, check=_nobody_asks)
    except WireError as error:
        sentence = f"{sentence} {error}".strip()
        survived = process_fields(control.look())
    note(runtime, **(GONE | _at_rest(sentence) | survived))


def _at_rest(sentence: str) -> dict[str, Any]:
    return {
        "status": RuntimeStatus.OFFLINE,
        "wish": Wish.STOPPED,
        "holder": {},
        "failed_checks": 0,
        "error_message": sentence[:500],
    }


def _serving(runtime: Runtime, found: Observation) -> dict[str, Any]:
    now, control = timezone.now(), control_for(runtime)
    fields = process_fields(control.look()) | {
        "status": found.status,
        "managed_by": control.managed_by,
        "wish": Wish.RUNNING,
        "failed_checks": 0,
        "error_message": found.error[:500],
        "last_check_at": now,
        "last_answer_at": now,
    }
    if runtime.kind == RuntimeKind.VLLM:  # what Ollama lists is news to the registry
        fields |= {"served_models": found.models, "loaded_models": found.loaded}
    return fields


def _called(runtime: Runtime, launch: Launch) -> str:
    what = f" with {launch.served_name}" if launch.served_name else ""
    return f"{place(runtime)}{what}"


def _unless_cancelled(work: Work) -> Check:
    told = False

    def check() -> None:
        nonlocal told
        try:
            work.check()
        except Cancelled:
            if not told:
                told = True
                work.log("Too late to cancel: it is stopping.", LogLevel.WARNING)

    return check


def _nobody_asks() -> None:
    """A stop that is itself the way out is not interrupted."""
