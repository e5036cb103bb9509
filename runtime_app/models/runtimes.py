"""Runtime: a server that runs models, and what its last health check saw."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from models_app.models import Node
from runtime_app.choices import ManagedBy, RuntimeKind, RuntimeStatus, Wish
from runtime_app.querysets import RuntimeQuerySet
from venom_site.lib.ids import uuid7

UNSTABLE_WINDOW = timedelta(minutes=5)
UNSTABLE_ABOVE = 3
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Runtime(models.Model):
    """A server at `base_url`: for Ollama its root, else the address ending in `/v1`.

    `status` leaves online only after two failed checks in a row and returns after one
    good one. `served_models` holds what the server itself listed last: dicts with
    `name` and, where the server says so, `size_bytes, digest, parameter_size,
    quantization, family, can_chat`. `loaded_models` holds what is in its memory:
    dicts with `name` and, where it says so, `size_bytes, size_vram_bytes, expires_at`
    (ISO; null for never) and `context_length`. The first list changes rarely, the
    second often.

    `process` is the identity (`clients.processes`) of a process that we started; it
    outlives every worker. `launch` is what the server was last started with (`Launch`
    as a dict, no secrets), `holder` the foreign process on its port (`pid, user,
    command`), `names` what the alias guard compared last.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    node = models.ForeignKey(
        Node, verbose_name=_("node"), on_delete=models.PROTECT, related_name="runtimes"
    )
    name = models.SlugField(_("name"), max_length=40)
    display_name = models.CharField(_("display name"), max_length=80)
    kind = models.CharField(_("kind"), max_length=20, choices=RuntimeKind)
    base_url = models.CharField(_("address"), max_length=250)
    encrypted_key = models.TextField(_("key"), blank=True, editable=False)
    managed_by = models.CharField(
        _("managed by"), max_length=20, choices=ManagedBy, default=ManagedBy.EXTERNAL
    )
    position = models.PositiveSmallIntegerField(_("fallback position"), default=100)

    status = models.CharField(
        _("status"), max_length=12, choices=RuntimeStatus, default=RuntimeStatus.UNKNOWN
    )
    version = models.CharField(_("version"), max_length=60, blank=True)
    latency_ms = models.FloatField(_("latency"), null=True, blank=True)
    served_models = models.JSONField(_("models"), default=list, blank=True)
    loaded_models = models.JSONField(_("in memory"), default=list, blank=True)
    error_message = models.CharField(_("last error"), max_length=500, blank=True)
    failed_checks = models.PositiveIntegerField(_("failed checks in a row"), default=0)
    last_check_at = models.DateTimeField(_("last check"), null=True, blank=True)
    last_answer_at = models.DateTimeField(_("last answer"), null=True, blank=True)
    changed_at = models.DateTimeField(_("status since"), null=True, blank=True)
    recent_changes = models.JSONField(_("recent changes"), default=list, blank=True)
    last_model = models.CharField(_("last active model"), max_length=250, blank=True)
    previous_model = models.CharField(
        _("model before that"), max_length=250, blank=True
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    # The process behind it, where this node can see one.
    wish = models.CharField(
        _("wish"), max_length=8, choices=Wish, default=Wish.NONE, blank=True
    )
    process = models.CharField(_("process of ours"), max_length=200, blank=True)
    launch = models.JSONField(_("started with"), default=dict, blank=True)
    pid = models.PositiveIntegerField(_("process id"), null=True, blank=True)
    process_started_at = models.DateTimeField(
        _("process started at"), null=True, blank=True
    )
    memory_bytes = models.BigIntegerField(_("memory"), null=True, blank=True)
    vram_bytes = models.BigIntegerField(_("GPU memory"), null=True, blank=True)
    restarts = models.PositiveIntegerField(_("restarts"), default=0)
    crashes = models.PositiveIntegerField(_("crashes in a row"), default=0)
    start_again_at = models.DateTimeField(_("starts again at"), null=True, blank=True)
    holder = models.JSONField(_("who holds its port"), default=dict, blank=True)
    names = models.JSONField(_("compared names"), default=dict, blank=True)

    objects = RuntimeQuerySet.as_manager()

    class Meta:
        verbose_name = _("runtime")
        verbose_name_plural = _("runtimes")
        ordering = ("position", "name")
        constraints = [
            models.UniqueConstraint(
                fields=("node", "name"), name="runtime_name_per_node"
            )
        ]

    def __str__(self) -> str:
        return self.display_name

    def get_absolute_url(self) -> str:
        return reverse("runtime-detail", args=[self.name])

    @property
    def openai_url(self) -> str:
        """Where the OpenAI-compatible routes begin, without a trailing slash."""
        return (
            f"{self.base_url}/v1" if self.kind == RuntimeKind.OLLAMA else self.base_url
        )

    @property
    def provider(self) -> str:
        """The provider's word in payloads: ollama, vllm, or the row's own name."""
        is_own = self.kind == RuntimeKind.OPENAI_COMPATIBLE
        return self.name if is_own else str(self.kind)

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).hostname or ""

    @property
    def port(self) -> int | None:
        parts = urlsplit(self.base_url)
        return parts.port or _DEFAULT_PORTS.get(parts.scheme)

    @property
    def uptime_seconds(self) -> int | None:
        """Of the process behind it; None while this node sees none."""
        if self.pid is None or self.process_started_at is None:
            return None
        return max(0, round((timezone.now() - self.process_started_at).total_seconds()))

    @property
    def flap_count(self) -> int:
        """How often the status changed within the last five minutes."""
        return len(recent(self.recent_changes))

    @property
    def is_unstable(self) -> bool:
        """More than three changes in five minutes are one state of its own."""
        return self.flap_count > UNSTABLE_ABOVE

    def serves(self, model: str) -> dict[str, Any] | None:
        """The served entry called `model`; for Ollama letter case does not count and
        `:latest` may be left out."""
        return self._named(model, self.served_models)

    def in_memory(self, model: str) -> dict[str, Any] | None:
        """The loaded entry called `model`, by the same rules."""
        return self._named(model, self.loaded_models)

    def _named(
        self, model: str, entries: list[dict[str, Any]]
    ) -> dict[str, Any] | None:
        if self.kind != RuntimeKind.OLLAMA:
            return next((entry for entry in entries if entry["name"] == model), None)
        wanted = {model.lower(), f"{model}:latest".lower()}
        return next((e for e in entries if e["name"].lower() in wanted), None)


def recent(changes: list[str]) -> list[str]:
    """Those ISO times that lie in the last five minutes; future ones do not count."""
    now = timezone.now()
    earliest = now - UNSTABLE_WINDOW
    return [at for at in changes if earliest < datetime.fromisoformat(at) <= now]
