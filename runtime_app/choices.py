"""Fixed words of runtimes, as CONTRACT §1 and §9 name them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class RuntimeKind(models.TextChoices):
    OLLAMA = "ollama", "Ollama"
    VLLM = "vllm", "vLLM"
    OPENAI_COMPATIBLE = "openai_compatible", _("OpenAI-compatible server")


class ManagedBy(models.TextChoices):
    """Who starts and stops the server's process."""

    EXTERNAL = "external", _("External")


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


# The runtimes that each profile knows; servers added by hand count as local ones.
PROFILE_KINDS: dict[str, frozenset[str]] = {
    "light": frozenset({RuntimeKind.OLLAMA, RuntimeKind.OPENAI_COMPATIBLE}),
    "llm_off": frozenset(),
    "full": frozenset(RuntimeKind.values),
}
