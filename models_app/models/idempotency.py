"""Answers already given to a POST with an Idempotency-Key."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class IdempotentAnswer(models.Model):
    """`status` is null while the first call is still being answered."""

    actor = models.CharField(_("actor"), max_length=80)
    key = models.CharField(_("key"), max_length=200)
    fingerprint = models.CharField(_("fingerprint"), max_length=64)
    status = models.PositiveSmallIntegerField(_("status"), null=True, blank=True)
    headers = models.JSONField(_("headers"), default=dict, blank=True)
    body = models.TextField(_("body"), blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True, db_index=True)

    class Meta:
        verbose_name = _("idempotent answer")
        verbose_name_plural = _("idempotent answers")
        ordering = ("-created_at",)
        constraints = [
            models.UniqueConstraint(
                fields=("actor", "key"), name="idempotency_key_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.key}"
