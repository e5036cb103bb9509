"""Fixed words of operations, as docs/api.md names them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class OperationType(models.TextChoices):
    INSTALL = "install", _("Install")
    REMOVE = "remove", _("Remove")
    ACTIVATE = "activate", _("Activate")
    START = "start", _("Start")
    STOP = "stop", _("Stop")
    RESTART = "restart", _("Restart")
    LOAD = "load", _("Load")
    UNLOAD = "unload", _("Unload")
    VERIFY = "verify", _("Verify")
    PROBE = "probe", _("Self-test")
    TRANSLATE = "translate", _("Translate")


class OperationStatus(models.TextChoices):
    PENDING = "pending", _("Waiting")
    IN_PROGRESS = "in_progress", _("Running")
    COMPLETED = "completed", _("Completed")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


class PendingPhase(models.TextChoices):
    """Why a pending operation is not running yet."""

    QUEUED = "queued", _("Queued")
    WAITING = "waiting", _("Waiting for another operation")
    SCHEDULED = "scheduled", _("Scheduled")
    PAUSED = "paused", _("Paused")
    INTERRUPTED = "interrupted", _("Interrupted")


class LogLevel(models.TextChoices):
    INFO = "info", _("Info")
    WARNING = "warning", _("Warning")
    ERROR = "error", _("Error")


OPEN_STATUSES = (OperationStatus.PENDING, OperationStatus.IN_PROGRESS)
FINISHED_STATUSES = (
    OperationStatus.COMPLETED,
    OperationStatus.FAILED,
    OperationStatus.CANCELLED,
)

# Which task carries an operation out; services start work by name, so that no
# service imports a task and the middle floor never imports the upper one.
TASKS: dict[str, str] = {
    OperationType.PROBE: "models_app.run_probe",
    OperationType.ACTIVATE: "runtime_app.run_activation",
}

# What may be paused (its bytes or steps are kept) and how many may run at once on a
# node, so that a stop or a switch always finds a free thread of the eight.
PAUSABLE = frozenset({OperationType.INSTALL, OperationType.PROBE})
MOST_RUNNING: dict[str, int] = {OperationType.PROBE: 4}
