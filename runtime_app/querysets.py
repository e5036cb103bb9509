"""Reads of runtimes, activations and keys."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Count, Exists, F, FilteredRelation, OuterRef, Q
from django.utils import timezone

from history_app.choices import OPEN_STATUSES, RequestStatus
from history_app.models import RequestRecord
from runtime_app.choices import (
    PROFILE_KINDS,
    ActivationState,
    AlertState,
    AlertView,
)

if TYPE_CHECKING:
    from runtime_app.models.activations import Activation  # noqa: F401 - named in a base class
    from runtime_app.models.alerts import Alert  # noqa: F401 - named in a base class
    from runtime_app.models.chat import ChatSession, Task  # noqa: F401 - named in a base class
    from runtime_app.models.gateway import Drain, GatewayPresence  # noqa: F401 - named in a base class
    from runtime_app.models.governance import ApiKey  # noqa: F401 - named in a base class
    from runtime_app.models.runtimes import Runtime  # noqa: F401 - named in a base class
    from runtime_app.models.samples import RuntimeSample  # noqa: F401 - named in a base class


class RuntimeQuerySet(models.QuerySet["Runtime"]):
    def of_profile(self, profile: str | None = None) -> Self:
        """Those that the present profile shows; the others do not exist for it."""
        return self.filter(kind__in=PROFILE_KINDS[profile or settings.RUNTIME_PROFILE])

    def of_node(self, name: str) -> Self:
        return self.filter(node__name=name)

    def in_order(self) -> Self:
        return self.select_related("node").order_by("position", "name")

    def with_names(self) -> Self:
        """With what the active model of each is called: no query of its own."""
        is_active = Q(activations__state=ActivationState.ACTIVE)
        rows = self.annotate(now=FilteredRelation("activations", condition=is_active))
        return rows.annotate(
            configured_name=F("now__served_name"),
            configured_since=F("now__activated_at"),
            registered_name=F("now__installed_model__name"),
            registered_path=F("now__installed_model__path"),
        )


class SampleQuerySet(models.QuerySet["RuntimeSample"]):
    def since(self, moment: datetime) -> Self:
        """Of one resolution or all, the oldest first."""
        return self.filter(at__gte=moment).order_by("at")


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


class AlertQuerySet(models.QuerySet["Alert"]):
    def open(self) -> Self:
        return self.filter(state=AlertState.OPEN)

    def silenced(self) -> Self:
        return self.open().filter(silenced_until__gt=timezone.now())

    def loud(self) -> Self:
        """Open and not silenced: what banners and counts show."""
        silenced = Q(silenced_until__gt=timezone.now())
        return self.open().exclude(silenced)

    def seen_as(self, view: str) -> Self:
        """Those of one list: open (and not silenced), silenced, closed."""
        if view == AlertView.CLOSED:
            return self.filter(state=AlertState.CLOSED)
        return self.silenced() if view == AlertView.SILENCED else self.loud()

    def older_than(self, last_seen_at: datetime, pk: object) -> Self:
        """Keyset page in the model's own order."""
        key = Q(last_seen_at__lt=last_seen_at) | Q(last_seen_at=last_seen_at, id__lt=pk)
        return self.filter(Q(last_seen_at__lte=last_seen_at) & key)


class ChatSessionQuerySet(models.QuerySet["ChatSession"]):
    def of_owner(self, owner: str) -> Self:
        return self.filter(owner=owner)

    def with_counts(self) -> Self:
        return self.annotate(message_count=Count("messages"))

    def older_than(self, moment: datetime, pk: UUID) -> Self:
        """Those after this place in a list of the latest first."""
        return self.filter(Q(updated_at__lt=moment) | Q(updated_at=moment, pk__lt=pk))


class TaskQuerySet(models.QuerySet["Task"]):
    def of_owner(self, owner: str) -> Self:
        return self.filter(owner=owner)

    def open_to_its_answerer(self) -> Self:
        """Also one that was given up too early: who answers it lives after all."""
        return self.filter(
            status__in=(
                RequestStatus.PENDING,
                RequestStatus.PROCESSING,
                RequestStatus.LOST,
            )
        )

    def abandoned_before(self, moment: datetime) -> Self:
        """Running ones that nobody answers any more: silent since then, or given up in
        the history, which knows of a process that has ended at once."""
        given_up = RequestRecord.objects.filter(
            pk=OuterRef("pk"), status=RequestStatus.LOST
        )
        return self.running().filter(Q(updated_at__lt=moment) | Exists(given_up))

    def unwanted(self, moment: datetime) -> Self:
        """Ended before then, with texts that nobody wanted to be kept."""
        return self.filter(store=False, finished_at__lt=moment).exclude(
            content="", result=""
        )

    def running(self) -> Self:
        return self.filter(status__in=OPEN_STATUSES)


class GatewayPresenceQuerySet(models.QuerySet["GatewayPresence"]):
    def alive(self, since: datetime) -> Self:
        """Those that gave a sign of life since then."""
        return self.filter(seen_at__gte=since)
