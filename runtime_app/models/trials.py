"""Trial: one acceptance run of a model on a runtime, kept as evidence."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from models_app.models import InstalledModel, Node
from venom_site.lib.ids import uuid7


class Trial(models.Model):
    """What the model did when it was tried. `checks` holds dicts with `name, ok`
    (true, false, or null for «could not be tried»), `words` and `seconds`; the newest
    row of a model, revision and runtime is the one that counts."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    node = models.ForeignKey(
        Node, verbose_name=_("node"), on_delete=models.CASCADE, related_name="trials"
    )
    installed_model = models.ForeignKey(
        InstalledModel,
        verbose_name=_("installed model"),
        on_delete=models.CASCADE,
        related_name="trials",
        null=True,
        blank=True,
    )
    runtime = models.CharField(_("runtime"), max_length=60)
    runtime_version = models.CharField(_("version"), max_length=60, blank=True)
    model_name = models.CharField(_("model"), max_length=250)
    revision = models.CharField(_("revision"), max_length=100, blank=True)
    ttft_seconds = models.FloatField(_("time to first token"), null=True, blank=True)
    output_tokens_per_second = models.FloatField(
        _("output tokens per second"), null=True, blank=True
    )
    checks = models.JSONField(_("checks"), default=list, blank=True)
    operation_id = models.UUIDField(_("operation"), null=True, blank=True)
    tried_at = models.DateTimeField(_("tried at"), default=timezone.now)

    class Meta:
        verbose_name = _("trial")
        verbose_name_plural = _("trials")
        ordering = ("-tried_at", "-id")

    def __str__(self) -> str:
        return f"{self.model_name} · {self.runtime}"
