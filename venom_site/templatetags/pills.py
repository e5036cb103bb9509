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
    "phase": {
        "queued": Pill("", "clock", _("Queued")),
        "waiting": Pill("", "lock", _("Waiting for its turn")),
        "scheduled": Pill("", "clock", _("Scheduled")),
        "paused": Pill("", "pause", _("Paused")),
        "interrupted": Pill("", "rotate-cw", _("Interrupted, resumes by itself")),
        "starting": Pill("", "rotate-cw", _("Starting")),
        "working": Pill("", "activity", _("Working")),
        "downloading": Pill("", "download", _("Downloading")),
        "verifying": Pill("", "check", _("Verifying")),
        "checking": Pill("", "search", _("Checking")),
        "draining": Pill("", "clock", _("Waiting for running requests")),
        "loading": Pill("", "cpu", _("Loading")),
        "confirming": Pill("", "check", _("Confirming with one real answer")),
        "committing": Pill("", "zap", _("Making it the active model")),
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
}


def pill_of(kind: str, status: str) -> Pill | None:
    """The row of a status, or None for one we do not know."""
    return PILLS.get(kind, {}).get(status)
