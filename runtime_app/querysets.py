"""Reads of runtimes, activations and keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from runtime_app.choices import PROFILE_KINDS, ActivationState

if TYPE_CHECKING:
    from runtime_app.models.activations import Activation  # noqa: F401 - named in a base class
    from runtime_app.models.governance import ApiKey  # noqa: F401 - named in a base class
    from runtime_app.models.runtimes import Runtime  # noqa: F401 - named in a base class


class RuntimeQuerySet(models.QuerySet["Runtime"]):
    def of_profile(self, profile: str | None = None) -> Self:
        """Those that the present profile shows; the others do not exist for it."""
        return self.filter(kind__in=PROFILE_KINDS[profile or settings.RUNTIME_PROFILE])

    def of_node(self, name: str) -> Self:
        return self.filter(node__name=name)

    def in_order(self) -> Self:
        return self.select_related("node").order_by("position", "name")


class ActivationQuerySet(models.QuerySet["Activation"]):
    def active(self) -> Self:
        return self.filter(state=ActivationState.ACTIVE)

    def default(self) -> Self:
        """The one activation that `auto` and calls without a node mean."""
        return self.active().filter(is_default=True).select_related("runtime__node")


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def usable(self) -> Self:
        now = timezone.now()
        return self.filter(revoked_at__isnull=True).filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=now)
        )
