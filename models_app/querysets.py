"""Reads of nodes and operations; admin, API and pages share this vocabulary."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery
from django.utils import timezone

from models_app.choices import (
    FINISHED_STATUSES,
    OPEN_STATUSES,
    OperationStatus,
    PendingPhase,
)

if TYPE_CHECKING:
    from models_app.models.operations import Operation  # noqa: F401 - named in a base class


class OperationQuerySet(models.QuerySet["Operation"]):
    def open(self) -> Self:
        return self.filter(status__in=OPEN_STATUSES)

    def running(self) -> Self:
        return self.filter(status=OperationStatus.IN_PROGRESS)

    def pending(self) -> Self:
        return self.filter(status=OperationStatus.PENDING)

    def finished(self) -> Self:
        return self.filter(status__in=FINISHED_STATUSES)

    def startable(self) -> Self:
        """Pending, not held back by a person or the clock."""
        now = timezone.now()
        return (
            self.pending()
            .filter(cancel_requested=False, pause_requested=False)
            .filter(Q(not_before__isnull=True) | Q(not_before__lte=now))
        )

    def first_of_lock(self) -> Self:
        """Those with no earlier startable operation under the same lock key."""
        earlier = (
            OperationQuerySet(self.model)
            .startable()
            .filter(lock_key=OuterRef("lock_key"))
            .filter(
                Q(created_at__lt=OuterRef("created_at"))
                | Q(created_at=OuterRef("created_at"), id__lt=OuterRef("id"))
            )
        )
        return self.filter(Q(lock_key="") | ~Exists(earlier))

    def with_holder(self) -> Self:
        """Adds `holder_id`: the running operation whose lock a pending one needs."""
        holder = (
            OperationQuerySet(self.model)
            .running()
            .filter(lock_key=OuterRef("lock_key"))
            .exclude(lock_key="")
            .exclude(pk=OuterRef("pk"))
        )
        return self.annotate(holder_id=Subquery(holder.values("pk")[:1]))

    def next_in_line(self) -> Self:
        """Startable, the first of its lock, and nobody holds that: oldest first."""
        rows = self.startable().first_of_lock().with_holder()
        return rows.filter(holder_id__isnull=True).order_by("created_at", "id")

    def for_display(self) -> Self:
        return self.select_related("node").with_holder()

    def newest_first(self) -> Self:
        return self.order_by("-created_at", "-id")

    def of_kind(self, *, status: str | None, operation_type: str | None) -> Self:
        """Filtered by what is given; nothing given is everything."""
        given = {"status": status, "operation_type": operation_type}
        return self.filter(**{name: value for name, value in given.items() if value})

    def older_than(self, created_at: datetime, pk: object) -> Self:
        """Keyset page; the repeated bound lets the index seek."""
        key = Q(created_at__lt=created_at) | Q(created_at=created_at, id__lt=pk)
        return self.filter(Q(created_at__lte=created_at) & key)

    def needing_attention(self) -> Self:
        interrupted = Q(status=OperationStatus.PENDING, phase=PendingPhase.INTERRUPTED)
        return self.filter(Q(status=OperationStatus.FAILED) | interrupted)

    def claimed_by(self, pk: object, token: object) -> Self:
        """The running row that still carries this fencing token: 1 or 0 rows."""
        return self.running().filter(pk=pk, claim_token=token)
