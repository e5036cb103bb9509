"""What a server's process says about its status, beside what its port says.

Pure: from the row as it was, the verdict of the wire and one look at the process. The
port alone lies both ways: it is closed while vLLM loads for minutes, and it answers
when somebody else's server took our place.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from django.utils import timezone

from runtime_app.choices import ManagedBy, RuntimeStatus, Wish
from runtime_app.models import Runtime
from runtime_app.runtimes.control import ProcessSeen
from runtime_app.runtimes.controls import ALIVE, is_conflict

# A start or stop that somebody has just begun is what the row says it is.
JUST_BEGUN = timedelta(seconds=20)


class State(NamedTuple):
    """`sentence` is why, where the process knows more than the port; empty for no
    trouble, None where the port has said it."""

    status: str
    sentence: str | None = None


def state_of(runtime: Runtime, wire_status: str, seen: ProcessSeen | None) -> State:
    """The status that the row gets."""
    if seen is None or seen.state == "unknown":
        return State(wire_status)
    if is_conflict(runtime, seen):
        return State(RuntimeStatus.CONFLICT, conflict_words(runtime, seen))
    if seen.state == "stopping" or _is_stopping(runtime, seen):
        return State(RuntimeStatus.STOPPING, "")
    if wire_status == RuntimeStatus.OFFLINE:
        return _without_answer(runtime, seen)
    return State(wire_status)


def is_crash(runtime: Runtime, seen: ProcessSeen | None) -> bool:
    """It is to run, and its process is gone without a stop of ours. While somebody
    else stands in its place that is a conflict: starting it would be in vain."""
    if seen is None or runtime.wish != Wish.RUNNING or seen.holder is not None:
        return False
    return seen.state == "crashed"


def is_unit_crash(runtime: Runtime, seen: ProcessSeen | None, managed_by: str) -> bool:
    """The same of a unit, seen for the first time: systemd counts, or lets it lie."""
    if seen is None or managed_by != ManagedBy.SYSTEMD:
        return False
    is_new = runtime.pid is not None
    was_restarted = seen.restarts is not None and seen.restarts > runtime.restarts
    return (seen.state == "crashed" and is_new) or (is_new and was_restarted)


def conflict_words(runtime: Runtime, seen: ProcessSeen) -> str:
    """Whose process it is and the way out; English, as it is stored."""
    holder = seen.holder
    pid = holder.pid if holder and holder.pid else "unknown"
    user = f" of {holder.user}" if holder and holder.user else ""
    command = f" ({holder.command})" if holder and holder.command else ""
    return (
        f"Process {pid}{user}{command} holds the port of {runtime.display_name}. Venom "
        "did not start it: stop it where it was started, or stop this server here and "
        "Venom uses the other one as it is."
    )


def _is_stopping(runtime: Runtime, seen: ProcessSeen) -> bool:
    begun = runtime.status == RuntimeStatus.STOPPING and _has_just_begun(runtime)
    return begun and seen.state in ALIVE


def _without_answer(runtime: Runtime, seen: ProcessSeen) -> State:
    """No answer: before its first one a living process is starting."""
    starting = State(RuntimeStatus.STARTING, "")
    if seen.state == "starting":
        return starting
    if runtime.status == RuntimeStatus.STARTING and _has_just_begun(runtime):
        return starting
    if seen.state not in ALIVE:
        return State(RuntimeStatus.OFFLINE, _kept_reason(runtime))
    answered = runtime.last_answer_at
    if seen.started_at and (answered is None or answered < seen.started_at):
        return starting
    return State(
        RuntimeStatus.OFFLINE,
        f"Its process {seen.pid or ''} runs, but does not answer.".replace("  ", " "),
    )


def _kept_reason(runtime: Runtime) -> str | None:
    """That nothing listens is no news of a server which we know to be stopped: what
    stands in its row, such as why it crashed or did not start, says more."""
    if runtime.wish == Wish.NONE:
        return None
    was_offline = runtime.status == RuntimeStatus.OFFLINE
    return runtime.error_message if was_offline else ""


def _has_just_begun(runtime: Runtime) -> bool:
    return (
        runtime.changed_at is not None
        and runtime.changed_at > timezone.now() - JUST_BEGUN
    )
