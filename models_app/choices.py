"""Fixed words of operations, as docs/api.md names them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class ProviderName(models.TextChoices):
    """Where models come from."""

    OLLAMA = "ollama", "Ollama"
    HUGGINGFACE = "huggingface", "Hugging Face"


class CatalogSource(models.TextChoices):
    """Where lists of models and of what is written about them come from."""

    HUGGINGFACE = "huggingface", "Hugging Face"
    OLLAMA = "ollama", _("Ollama library")
    BLOG = "blog", _("Hugging Face blog")
    PAPERS = "papers", _("Hugging Face papers")


class ModelStatus(models.TextChoices):
    """What a model is on this machine. Stored are only INSTALLED and BROKEN; the
    others follow from open operations and from what the runtime publishes."""

    AVAILABLE = "available", _("Available")
    DOWNLOADING = "downloading", _("Downloading")
    INSTALLED = "installed", _("Installed")
    UPDATING = "updating", _("Updating")
    REMOVING = "removing", _("Removing")
    FAILED = "failed", _("Failed")
    BROKEN = "broken", _("Broken")
    ALIAS_MISMATCH = "alias_mismatch", _("Alias mismatch")


class ListState(models.TextChoices):
    """What a list of models can be narrowed to: a model has at least one of these."""

    ACTIVE = "active", _("Active")
    INSTALLED = "installed", _("Installed, not active")
    CHANGING = "changing", _("Being changed")
    BROKEN = "broken", _("Broken")


class ListOrder(models.TextChoices):
    """By what a list of models is ordered, other than as people look for them."""

    SIZE = "size", _("Largest first")
    UNUSED = "unused", _("Longest unused first")


class CapabilitySource(models.TextChoices):
    """How somebody came to know what a model can do."""

    DECLARED = "declared", _("Declared by its publisher")
    TEMPLATE = "template", _("Read from its chat template")
    PROBED = "probed", _("Tried here")
    MANUAL = "manual", _("Set by hand")


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
    ACCEPT = "accept", _("Try out")
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
    OperationType.INSTALL: "models_app.run_install",
    OperationType.REMOVE: "models_app.run_remove",
    OperationType.LOAD: "runtime_app.run_load",
    OperationType.UNLOAD: "runtime_app.run_unload",
    OperationType.ACTIVATE: "runtime_app.run_activation",
    OperationType.ACCEPT: "runtime_app.run_trial",
    OperationType.START: "runtime_app.run_start",
    OperationType.STOP: "runtime_app.run_stop",
    OperationType.RESTART: "runtime_app.run_restart",
}

# What may be paused (its bytes or steps are kept) and how many may run at once on a
# node, so that a stop or a switch always finds a free thread of the eight.
PAUSABLE = frozenset({OperationType.INSTALL, OperationType.PROBE})
MOST_RUNNING: dict[str, int] = {OperationType.PROBE: 4}
CAPPED = frozenset({OperationType.INSTALL, *MOST_RUNNING})

# Which runtime runs what a provider delivers, and what each profile shows.
PROVIDER_RUNTIMES: dict[str, str] = {
    ProviderName.OLLAMA: "ollama",
    ProviderName.HUGGINGFACE: "vllm",
}
# Whose names have several revisions side by side, each with bytes of its own. The
# others keep one version of a name, and the same content once under all its names.
VERSIONED_PROVIDERS = frozenset({ProviderName.HUGGINGFACE})
PROFILE_PROVIDERS: dict[str, frozenset[str]] = {
    "light": frozenset({ProviderName.OLLAMA}),
    "llm_off": frozenset(),
    "full": frozenset(ProviderName.values),
}
PROVIDER_ALIASES = {"hf": ProviderName.HUGGINGFACE.value}

# The steps that each kind of work goes through, in order; pages show them as a list.
STEPS: dict[str, tuple[str, ...]] = {
    OperationType.INSTALL: (
        "checking",
        "resolving",
        "preparing",
        "downloading",
        "verifying",
        "registering",
    ),
    OperationType.REMOVE: ("checking", "unloading", "removing"),
    OperationType.ACTIVATE: (
        "checking",
        "draining",
        "configuring",
        "stopping",
        "starting",
        "loading",
        "confirming",
        "committing",
        "releasing",
    ),
    OperationType.LOAD: ("checking", "stopping", "loading"),
    OperationType.UNLOAD: ("unloading",),
    OperationType.ACCEPT: (
        "first_token",
        "speed",
        "system_role",
        "json_mode",
        "tool_call",
    ),
    OperationType.START: ("checking", "starting", "confirming"),
    OperationType.STOP: ("checking", "draining", "stopping"),
    OperationType.RESTART: (
        "checking",
        "draining",
        "stopping",
        "starting",
        "confirming",
    ),
}
# An install of what lies here already, in another form, goes through these.
CONVERSION_STEPS = ("checking", "preparing", "verifying", "registering")
# Listed from when they begin: most work of its kind has no such step. Work that knows
# its steps beforehand keeps them in its checkpoint as `plan`.
SELDOM_STEPS = frozenset(
    {"draining", "preparing", "configuring", "stopping", "starting"}
)
