"""Freeing the memory of this node before the house stops: no worker, no operation.

Servers that we started are stopped, all others only asked to unload. What ran starts
again with the house: its row keeps that as `start_again_at` beside the wish to stop.
"""

from __future__ import annotations

import threading
import time

from django.conf import settings
from django.utils import timezone

from runtime_app.choices import CAN_UNLOAD, ManagedBy, RuntimeStatus, Wish
from runtime_app.models import Runtime
from runtime_app.runtimes.controls import ALIVE, control_for
from runtime_app.runtimes.registry import adapter_for
from runtime_app.services.server_rows import GONE, note
from venom_site.lib.errors import WireError

NOTICE_SECONDS = 0.3
KILL_SECONDS = 1.5  # of the whole time: for SIGKILL and its proof


def unload_everything_now(seconds: float, *, only_ours: bool = False) -> list[str]:
    """Ask the runtimes of this node directly, all at once, without an operation; one
    sentence for each. Ends in time whatever they do, and never raises `WireError`.

    With `only_ours` servers that others started are left as they are."""
    rows = list(Runtime.objects.of_profile().of_node(settings.NODE).in_order())
    ours = [row for row in rows if _is_ours(row)]
    for row in ours:
        _hold(row)
    ends = time.monotonic() + seconds
    said: list[str] = []
    threads = [
        threading.Thread(target=_stop_now, args=(row, ends, said), daemon=True)
        for row in ours
    ] + [
        threading.Thread(target=_empty_now, args=(row, ends, said), daemon=True)
        for row in rows
        if not only_ours and row not in ours and row.kind in CAN_UNLOAD
    ]
    for thread in threads:
        thread.start()
    for thread in threads:  # each notices the limit at its next look
        thread.join(max(0.0, ends - time.monotonic()) + NOTICE_SECONDS)
    if any(thread.is_alive() for thread in threads):
        said.append("A runtime did not answer in time.")
    for row in ours:
        _release(row)
    return list(said)


def _is_ours(runtime: Runtime) -> bool:
    """A process of ours lives; a unit goes on without us."""
    control = control_for(runtime)
    if control.managed_by != ManagedBy.PROCESS:
        return False
    seen = control.look()
    return seen.state in ALIVE or bool(seen.identity and seen.state == "crashed")


def _hold(runtime: Runtime) -> None:
    """From here on nobody takes its end for a crash; `start_with_the_house` gives the
    wish back."""
    again = timezone.now() if runtime.wish == Wish.RUNNING else None
    note(
        runtime,
        wish=Wish.STOPPED,
        start_again_at=again,
        status=RuntimeStatus.STOPPING,
    )


def _release(runtime: Runtime) -> None:
    """What is really gone is forgotten; what survived keeps its identity."""
    if control_for(runtime).look().state not in ALIVE:
        note(runtime, **GONE, status=RuntimeStatus.OFFLINE, error_message="")


def start_with_the_house() -> None:
    """At the start of this node's worker: what the last stop of the house ended is
    wanted again, and the next health check starts it."""
    held = Runtime.objects.of_profile().of_node(settings.NODE)
    held.filter(wish=Wish.STOPPED, start_again_at__isnull=False).update(
        wish=Wish.RUNNING, crashes=0
    )


def _stop_now(runtime: Runtime, ends: float, said: list[str]) -> None:
    """In a thread of its own; SIGKILL to the whole session when the time runs out."""
    grace = max(0.5, ends - time.monotonic() - KILL_SECONDS)
    try:
        control_for(runtime).stop(grace_seconds=grace, check=lambda: None)
        said.append(f"{runtime.display_name}: stopped.")
    except WireError as error:
        said.append(f"{runtime.display_name}: {error}")


class _NoTime(Exception):
    """The limit of `unload_everything_now` has passed."""


def _empty_now(runtime: Runtime, ends: float, said: list[str]) -> None:
    """In a thread of its own; wire only, no database."""

    def check() -> None:
        if time.monotonic() > ends:
            raise _NoTime

    try:
        adapter = adapter_for(runtime)
        held = [entry["name"] for entry in adapter.list_loaded()]
        for model in held:
            adapter.unload(model, check=check)
            said.append(f"{runtime.display_name}: unloaded {model}.")
        if not held:
            said.append(f"{runtime.display_name}: no model was in memory.")
    except WireError as error:
        said.append(f"{runtime.display_name}: {error}")
    except _NoTime:
        said.append(f"{runtime.display_name}: a request still holds its model.")
