"""Who did what, through which door, and what it changed."""

from __future__ import annotations

from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from history_app.querysets import AuditEntryQuerySet
from venom_site.lib.ids import uuid7


class AuditEntry(models.Model):
    """One change by one service call. Rows are added, never changed."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField(_("at"), default=timezone.now)
    actor = models.CharField(_("actor"), max_length=150)
    actor_kind = models.CharField(_("actor kind"), max_length=10)
    channel = models.CharField(_("channel"), max_length=20)
    verb = models.CharField(_("verb"), max_length=60)
    object_kind = models.CharField(_("object kind"), max_length=60)
    object_id = models.CharField(_("object id"), max_length=200)
    object_name = models.CharField(_("object"), max_length=250, blank=True)
    before = models.JSONField(_("before"), default=dict, blank=True)
    after = models.JSONField(_("after"), default=dict, blank=True)
    reason = models.CharField(_("reason"), max_length=250, blank=True)
    request_id = models.CharField(_("request id"), max_length=64, blank=True)

    objects = AuditEntryQuerySet.as_manager()

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        ordering = ("-at", "-id")
        indexes = [
            models.Index(fields=("-at", "-id"), name="audit_newest"),
            models.Index(
                fields=("object_kind", "object_id", "-at"), name="audit_object"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.verb} {self.object_name or self.object_id}"

    def get_absolute_url(self) -> str:
        return reverse("admin:history_app_auditentry_change", args=[self.pk])
