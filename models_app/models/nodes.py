"""The machines of the installation; one row on a single machine."""

from __future__ import annotations

from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from venom_site.lib.ids import uuid7


class Node(models.Model):
    """A machine whose worker consumes the queue `node.<name>`."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(_("name"), max_length=63, unique=True)
    last_seen_at = models.DateTimeField(_("last seen"), null=True, blank=True)
    version = models.CharField(_("version"), max_length=40, blank=True)
    capacity = models.JSONField(_("capacity"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("node")
        verbose_name_plural = _("nodes")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("admin:models_app_node_change", args=[self.pk])

    @property
    def queue(self) -> str:
        return f"node.{self.name}"
