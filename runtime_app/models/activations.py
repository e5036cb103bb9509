"""Activation: this model serves on this runtime since then."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from models_app.models import InstalledModel, Node
from runtime_app.choices import ActivationState
from runtime_app.models.runtimes import Runtime
from runtime_app.querysets import ActivationQuerySet
from venom_site.lib.ids import uuid7


class Activation(models.Model):
    """Committed only after the runtime listed the model and answered with a token.

    One is active per node, one of those is the default of the installation; former
    ones stay as the way back.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    node = models.ForeignKey(
        Node,
        verbose_name=_("node"),
        on_delete=models.PROTECT,
        related_name="activations",
    )
    runtime = models.ForeignKey(
        Runtime,
        verbose_name=_("runtime"),
        on_delete=models.CASCADE,
        related_name="activations",
    )
    installed_model = models.ForeignKey(
        InstalledModel,
        verbose_name=_("installed model"),
        on_delete=models.SET_NULL,
        related_name="active_on",
        null=True,
        blank=True,
    )
    model_name = models.CharField(_("model"), max_length=250)
    served_name = models.CharField(_("name the server publishes"), max_length=250)
    state = models.CharField(_("state"), max_length=8, choices=ActivationState)
    is_default = models.BooleanField(_("default"), default=True)
    operation_id = models.UUIDField(_("operation"), null=True, blank=True)
    activated_by = models.CharField(_("activated by"), max_length=150, blank=True)
    activated_at = models.DateTimeField(_("activated at"), default=timezone.now)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    objects = ActivationQuerySet.as_manager()

    class Meta:
        verbose_name = _("activation")
        verbose_name_plural = _("activations")
        ordering = ("-activated_at", "-id")
        constraints = [
            models.UniqueConstraint(
                fields=("node",),
                condition=Q(state=ActivationState.ACTIVE),
                name="activation_active_per_node",
            ),
            models.UniqueConstraint(
                fields=("is_default",),
                condition=Q(state=ActivationState.ACTIVE, is_default=True),
                name="activation_default_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model_name} · {self.runtime}"

    def get_absolute_url(self) -> str:
        return self.runtime.get_absolute_url()
