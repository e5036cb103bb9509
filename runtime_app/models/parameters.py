"""Stored generation parameters of a model on a runtime."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from runtime_app.models.runtimes import Runtime
from venom_site.lib.ids import uuid7


class GenerationParameters(models.Model):
    """What a request that says nothing gets: `params` holds plain numbers under the
    names of docs/api.md (`temperature`, `max_tokens`, …), only those that were set."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    runtime = models.ForeignKey(
        Runtime,
        verbose_name=_("runtime"),
        on_delete=models.CASCADE,
        related_name="generation_parameters",
    )
    model_name = models.CharField(_("model"), max_length=250)
    params = models.JSONField(_("parameters"), default=dict)
    changed_by = models.CharField(_("changed by"), max_length=150, blank=True)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now)

    class Meta:
        verbose_name = _("generation parameters")
        verbose_name_plural = _("generation parameters")
        ordering = ("runtime", "model_name")
        constraints = [
            models.UniqueConstraint(
                fields=("runtime", "model_name"), name="parameters_once_per_model"
            )
        ]

    def __str__(self) -> str:
        return f"{self.model_name} · {self.runtime}"
