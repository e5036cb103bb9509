"""What the gateway processes agree on."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from models_app.models import Node
from runtime_app.models.runtimes import Runtime
from runtime_app.querysets import GatewayPresenceQuerySet
from venom_site.lib.ids import uuid7


class PolicyVersion(models.Model):
    """One row with one number, raised in the transaction of every change that the
    gateway's snapshot reflects. Each gateway process reads it twice a second."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    number = models.PositiveBigIntegerField(_("number"), default=0)

    class Meta:
        verbose_name = _("policy version")
        verbose_name_plural = _("policy versions")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(id=1), name="policy_version_one_row"
            )
        ]

    def __str__(self) -> str:
        return str(self.number)


class GatewayPresence(models.Model):
    """A gateway process that lives: written within a second of a change and every few
    seconds, deleted when it ends.

    `version` is the policy number its snapshot has; `in_flight` counts the requests
    being answered under `<runtime name>|<served name>`. One that was silent for
    `services.drain.SILENCE` is dead: its requests ended with it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    node = models.ForeignKey(
        Node, verbose_name=_("node"), on_delete=models.CASCADE, related_name="gateways"
    )
    process = models.CharField(_("process"), max_length=80)
    version = models.PositiveBigIntegerField(_("policy version"), default=0)
    in_flight = models.JSONField(_("in flight"), default=dict, blank=True)
    started_at = models.DateTimeField(_("started at"), default=timezone.now)
    seen_at = models.DateTimeField(_("last sign of life"), default=timezone.now)

    objects = GatewayPresenceQuerySet.as_manager()

    class Meta:
        verbose_name = _("gateway process")
        verbose_name_plural = _("gateway processes")
        ordering = ("started_at", "id")

    def __str__(self) -> str:
        return self.process


class Drain(models.Model):
    """A model is leaving a runtime: new requests for it wait, running ones may end.

    Made and removed by an activation. Until `ends_at` the gateways let running requests
    end by themselves; afterwards they end them with `RUNTIME_SWITCHED`. An empty
    `served_name` means the whole runtime.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    runtime = models.ForeignKey(
        Runtime,
        verbose_name=_("runtime"),
        on_delete=models.CASCADE,
        related_name="drains",
    )
    served_name = models.CharField(_("model"), max_length=250, blank=True)
    operation_id = models.UUIDField(_("operation"), null=True, blank=True)
    began_at = models.DateTimeField(_("began at"), default=timezone.now)
    ends_at = models.DateTimeField(_("ends at"))

    class Meta:
        verbose_name = _("drain")
        verbose_name_plural = _("drains")
        ordering = ("began_at", "id")
        constraints = [
            models.UniqueConstraint(
                fields=("runtime", "served_name"), name="drain_once_per_model"
            )
        ]

    def __str__(self) -> str:
        return f"{self.served_name or self.runtime} until {self.ends_at:%H:%M:%S}"
