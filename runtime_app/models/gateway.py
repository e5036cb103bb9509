"""What the gateway processes agree on."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


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
