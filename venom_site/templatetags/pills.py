"""The words, icons and tones of every status, in one table.

Read by the atoms only. A status we do not know has no row here and is shown grey,
never green: colour is only for what somebody checked.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Pill:
    """How one status looks: tone (a CSS class), icon (a sprite symbol), word."""

    tone: str
    icon: str
    text: Promise | str


UNKNOWN_PILL = Pill("", "help", _("Unknown"))

PILLS: dict[str, dict[str, Pill]] = {
    "runtime": {
        "online": Pill("ok", "circle-check", _("Online")),
        "degraded": Pill("warn", "triangle-alert", _("Degraded")),
        "offline": Pill("bad", "wifi-off", _("Offline")),
        "starting": Pill("info", "rotate-cw", _("Starting")),
        "stopping": Pill("info", "rotate-cw", _("Stopping")),
        "conflict": Pill("bad", "triangle-alert", _("Conflict")),
        "stopped": Pill("", "ban", _("Stopped")),
        "unstable": Pill("warn", "activity", _("Unstable")),
        "unknown": Pill("", "help", _("Not checked yet")),
        "none": Pill("", "ban", _("No model active")),
    },
    "operation": {
        "pending": Pill("", "clock", _("Waiting")),
        "in_progress": Pill("info", "activity", _("Running")),
        "stalled": Pill("warn", "activity", _("Stalled")),
        "completed": Pill("ok", "check", _("Done")),
        "failed": Pill("bad", "circle-x", _("Failed")),
        "cancelled": Pill("", "ban", _("Cancelled")),
        "paused": Pill("warn", "pause", _("Paused")),
        "interrupted": Pill("warn", "triangle-alert", _("Interrupted")),
        "scheduled": Pill("", "clock", _("Scheduled")),
    },
    "alert": {
        "critical": Pill("bad", "triangle-alert", _("Critical")),
        "warning": Pill("warn", "triangle-alert", _("Warning")),
        "silenced": Pill("", "bell", _("Silenced")),
        "closed": Pill("", "check", _("Closed")),
    },
    "request": {
        "PENDING": Pill("info", "clock", _("Waiting")),
        "PROCESSING": Pill("info", "activity", _("Running")),
        "COMPLETED": Pill("ok", "check", _("Answered")),
        "FAILED": Pill("bad", "circle-x", _("Failed")),
        "CANCELLED": Pill("", "ban", _("Cancelled")),
        "LOST": Pill("warn", "wifi-off", _("Lost")),
        "fallback": Pill("warn", "triangle-alert", _("Fallback")),
        "partial": Pill("warn", "triangle-alert", _("Cut short")),
    },
    # Of a server that could have answered
    "verdict": {
        "chosen": Pill("ok", "check", _("Chosen")),
        "next": Pill("", "clock", _("Would be next")),
        "passed_over": Pill("warn", "ban", _("Passed over")),
    },
    "phase": {
        "queued": Pill("", "clock", _("Queued")),
        "waiting": Pill("", "lock", _("Waiting for its turn")),
        "scheduled": Pill("", "clock", _("Scheduled")),
        "paused": Pill("", "pause", _("Paused")),
        "interrupted": Pill("", "rotate-cw", _("Interrupted, resumes by itself")),
        "starting": Pill("", "rotate-cw", _("Starting")),
        "working": Pill("", "activity", _("Working")),
        "checking": Pill("", "search", _("Checking")),
        "resolving": Pill("", "search", _("Asking the registry")),
        "preparing": Pill("", "activity", _("Converting")),
        "downloading": Pill("", "download", _("Downloading")),
        "waiting_for_provider": Pill("", "clock", _("Waiting for the provider")),
        "verifying": Pill("", "check", _("Verifying")),
        "registering": Pill("", "list", _("Registering")),
        "draining": Pill("", "clock", _("Waiting for running requests")),
        "configuring": Pill("", "list", _("Configuring")),
        "stopping": Pill("", "ban", _("Stopping what is in the way")),
        "loading": Pill("", "cpu", _("Loading")),
        "confirming": Pill("", "check", _("Confirming with one real answer")),
        "committing": Pill("", "zap", _("Making it the active model")),
        "releasing": Pill("", "cpu", _("Unloading the former model")),
        "unloading": Pill("", "cpu", _("Unloading")),
        "removing": Pill("", "trash-2", _("Removing")),
        "first_token": Pill("", "activity", _("Waiting for the first token")),
        "speed": Pill("", "activity", _("Measuring its speed")),
        "system_role": Pill("", "activity", _("Trying a system message")),
        "json_mode": Pill("", "activity", _("Trying JSON mode")),
        "tool_call": Pill("", "activity", _("Trying a tool")),
    },
    # A step that waits or is done is no “-ing”: the list says what, the state how far.
    "step": {
        "checking": Pill("", "search", _("Check that it can be done")),
        "resolving": Pill("", "search", _("Ask the registry for size and digest")),
        "preparing": Pill("", "activity", _("Convert")),
        "downloading": Pill("", "download", _("Download")),
        "verifying": Pill("", "check", _("Verify the checksums")),
        "registering": Pill("", "list", _("Read what it can do and list it")),
        "draining": Pill("", "clock", _("Wait for running requests")),
        "configuring": Pill("", "list", _("Write the configuration")),
        "stopping": Pill("", "ban", _("Stop what is in the way")),
        "starting": Pill("", "play", _("Start the server")),
        "loading": Pill("", "cpu", _("Load into memory")),
        "confirming": Pill("", "check", _("Confirm with one real answer")),
        "committing": Pill("", "zap", _("Make it the active model")),
        "releasing": Pill("", "cpu", _("Unload the former model")),
        "unloading": Pill("", "cpu", _("Unload from memory")),
        "removing": Pill("", "trash-2", _("Remove the files")),
        "first_token": Pill("", "activity", _("Time to first token")),
        "speed": Pill("", "activity", _("Output tokens per second")),
        "system_role": Pill("", "activity", _("System role")),
        "json_mode": Pill("", "activity", _("JSON mode")),
        "tool_call": Pill("", "activity", _("Tool call")),
    },
    "step_state": {
        "done": Pill("ok", "check", _("Done")),
        "running": Pill("info", "activity", _("Running")),
        "waiting": Pill("", "clock", _("Waiting")),
        "failed": Pill("bad", "circle-x", _("Failed")),
        "cancelled": Pill("", "ban", _("Cancelled")),
        "skipped": Pill("", "ban", _("Not needed")),
    },
}

OPERATION_ICONS = {
    "install": "download",
    "remove": "trash-2",
    "activate": "zap",
    "start": "play",
    "stop": "ban",
    "restart": "rotate-cw",
    "load": "cpu",
    "unload": "cpu",
    "verify": "check",
    "probe": "activity",
    "accept": "activity",
}


def pill_of(kind: str, status: str) -> Pill | None:
    """The row of a status, or None for one we do not know."""
    return PILLS.get(kind, {}).get(status)
