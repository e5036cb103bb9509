"""Fixed words of runtimes, as docs/api.md name them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class RuntimeKind(models.TextChoices):
    OLLAMA = "ollama", "Ollama"
    VLLM = "vllm", "vLLM"
    OPENAI_COMPATIBLE = "openai_compatible", _("OpenAI-compatible server")


class ManagedBy(models.TextChoices):
    """Who starts and stops the server's process: a unit of systemd, we ourselves, or
    somebody whom we only ask."""

    SYSTEMD = "systemd", _("systemd unit")
    PROCESS = "process", _("Process of ours")
    EXTERNAL = "external", _("External")


class Wish(models.TextChoices):
    """What a person or an activation last wanted of a server that we may start."""

    NONE = "", _("None")
    RUNNING = "running", _("Running")
    STOPPED = "stopped", _("Stopped")


class RuntimeStatus(models.TextChoices):
    ONLINE = "online", _("Online")
    DEGRADED = "degraded", _("Degraded")
    OFFLINE = "offline", _("Offline")
    STARTING = "starting", _("Starting")
    STOPPING = "stopping", _("Stopping")
    CONFLICT = "conflict", _("Conflict")
    UNKNOWN = "unknown", _("Unknown")


class ActivationState(models.TextChoices):
    ACTIVE = "active", _("Active")
    FORMER = "former", _("Former")


class AlertState(models.TextChoices):
    OPEN = "open", _("Open")
    CLOSED = "closed", _("Closed")


class AlertView(models.TextChoices):
    """How lists and payloads see an alert: an open one may be silenced."""

    OPEN = "open", _("Open")
    SILENCED = "silenced", _("Silenced")
    CLOSED = "closed", _("Closed")


class AlertSeverity(models.TextChoices):
    WARNING = "warning", _("Warning")
    CRITICAL = "critical", _("Critical")


class TaskMode(models.TextChoices):
    """`complex` is `normal` for routing that weighs complexity."""

    NORMAL = "normal", _("Normal")
    DIRECT = "direct", _("Direct")
    COMPLEX = "complex", _("Complex")


class LlmStatus(models.TextChoices):
    """How the model stood to the answer of a task."""

    READY = "ready", _("Ready")
    STARTING = "starting", _("Starting")
    FALLBACK = "fallback", _("Fallback")
    ERROR = "error", _("Error")
    SKIPPED = "skipped", _("Skipped")


class Template(models.TextChoices):
    """Questions that a template answers, without a model."""

    HELP = "HELP", _("Help")
    TIME = "TIME", _("Time")
    INFRA_STATUS = "INFRA_STATUS", _("State of the infrastructure")


class MessageRole(models.TextChoices):
    SYSTEM = "system", _("System")
    USER = "user", _("User")
    ASSISTANT = "assistant", _("Assistant")


# The kinds that free a model's memory when asked; the others only by stopping.
CAN_UNLOAD = frozenset({RuntimeKind.OLLAMA})

# The runtimes that each profile knows; servers added by hand count as local ones.
PROFILE_KINDS: dict[str, frozenset[str]] = {
    "light": frozenset({RuntimeKind.OLLAMA, RuntimeKind.OPENAI_COMPATIBLE}),
    "llm_off": frozenset(),
    "full": frozenset(RuntimeKind.values),
}
