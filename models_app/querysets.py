"""Reads of models and operations; admin, API and pages share this vocabulary."""

from __future__ import annotations

from datetime import datetime
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.db import models
from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    IntegerField,
    OuterRef,
    Q,
    Subquery,
    When,
)
from django.db.models import Value as V
from django.db.models.functions import Coalesce
from django.utils import timezone

from models_app.choices import (
    CAPPED,
    FINISHED_STATUSES,
    OPEN_STATUSES,
    PROFILE_PROVIDERS,
    PROVIDER_RUNTIMES,
    VERSIONED_PROVIDERS,
    ListOrder,
    ModelStatus,
    OperationStatus,
    PendingPhase,
)
from venom_site.lib.names import COMMIT_DIGITS

if TYPE_CHECKING:
    from models_app.models.installed import InstalledModel
    from models_app.models.operations import Operation  # noqa: F401 - named in a base class


SHORTEST_REVISION = 7  # digits of a commit that name it, as git prints them


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
        return self.annotate(holder_id=self._holder_of_lock())

    def _holder_of_lock(self) -> Subquery:
        holder = (
            OperationQuerySet(self.model)
            .running()
            .filter(lock_key=OuterRef("lock_key"))
            .exclude(lock_key="")
            .exclude(pk=OuterRef("pk"))
        )
        return Subquery(holder.values("pk")[:1])

    def _first_of_cap(self) -> Case:
        """The one that has run longest of those that fill the cap of its type."""
        like = (
            OperationQuerySet(self.model)
            .running()
            .filter(
                node_id=OuterRef("node_id"),
                operation_type=OuterRef("operation_type"),
                operation_type__in=CAPPED,
            )
        )
        first = Subquery(like.order_by("started_at", "id").values("pk")[:1])
        return Case(When(phase=PendingPhase.WAITING, then=first))

    def next_in_line(self) -> Self:
        """Startable, the first of its lock, and nobody holds that: oldest first."""
        rows = self.startable().first_of_lock().with_holder()
        return rows.filter(holder_id__isnull=True).order_by("created_at", "id")

    def for_display(self) -> Self:
        """With the node, and in `holder_id` whatever a pending one waits for."""
        holder = Coalesce(self._holder_of_lock(), self._first_of_cap())
        return self.select_related("node").annotate(holder_id=holder)

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


# An activation of the same node that is linked to no row, by runtime and name.
_NAMED_ONLY = Q(
    node__activations__state="active",
    node__activations__installed_model=None,
    node__activations__served_name__iexact=F("name"),
) & reduce(
    or_,
    (
        Q(provider=provider, node__activations__runtime__name=runtime)
        for provider, runtime in PROVIDER_RUNTIMES.items()
    ),
)


class InstalledModelQuerySet(models.QuerySet["InstalledModel"]):
    def of_profile(self, profile: str | None = None) -> Self:
        """Those whose provider the present profile shows."""
        shown = PROFILE_PROVIDERS[profile or settings.RUNTIME_PROFILE]
        return self.filter(provider__in=shown)

    def of_node(self, name: str) -> Self:
        return self.filter(node__name=name)

    def named(self, name: str, provider: str | None = None) -> Self:
        """By name without regard to case, as Ollama compares; `:latest` may be left
        out where there is no tag."""
        names = Q(name__iexact=name)
        if ":" not in name.rpartition("/")[2]:
            names |= Q(name__iexact=f"{name}:latest")
        rows = self.filter(names)
        return rows.filter(provider=provider) if provider else rows

    def of_revision(self, revision: str) -> Self:
        """A commit in full or its first digits, with `-<what>` behind for one that was
        converted; empty is everything. In full it is that one and no conversion."""
        if not revision:
            return self
        meant = Q(revision=revision)
        digits, dash, what = revision.lower().partition("-")
        if SHORTEST_REVISION <= len(digits) < COMMIT_DIGITS:
            meant |= Q(revision__startswith=digits, revision__endswith=dash + what)
        elif len(digits) == COMMIT_DIGITS:
            meant |= Q(revision=revision.lower())
        return self.filter(meant)

    def versions_of(self, model: InstalledModel) -> Self:
        """Every revision of its name on its node."""
        return self.filter(
            node_id=model.node_id, provider=model.provider, name__iexact=model.name
        )

    def leading(self) -> Self:
        """One row for each name: of several revisions the active, else the newest."""
        first = self._of_same_name().in_version_order().values("pk")[:1]
        single = ~Q(provider__in=VERSIONED_PROVIDERS)
        return self.filter(single | Q(pk=Subquery(first)))

    def _of_same_name(self) -> InstalledModelQuerySet:
        return InstalledModelQuerySet(self.model).filter(
            node_id=OuterRef("node_id"),
            provider=OuterRef("provider"),
            name__iexact=OuterRef("name"),
        )

    def in_version_order(self) -> Self:
        """Revisions of one name: the active one, then the newest."""
        return self.with_activity().order_by("-is_active", "-installed_at", "-pk")

    def with_versions(self) -> Self:
        """Adds `version_count`: how many revisions of its name lie on its node."""
        counted = (
            self._of_same_name()
            .order_by()
            .values("provider")
            .annotate(n=Count("pk"))
            .values("n")
        )
        several = When(provider__in=VERSIONED_PROVIDERS, then=Subquery(counted))
        return self.annotate(
            version_count=Case(several, default=V(1), output_field=IntegerField())
        )

    def with_activity(self) -> Self:
        """Adds `is_active`: an activation that serves now points at it, or, as long
        as it points at no row yet, names it."""
        if "is_active" in self.query.annotations:
            return self
        mine = InstalledModelQuerySet(self.model).filter(pk=OuterRef("pk"))
        linked = Exists(mine.filter(active_on__state="active"))
        return self.annotate(is_active=linked | Exists(mine.filter(_NAMED_ONLY)))

    def with_names(self) -> Self:
        """Adds `is_misnamed`: the server of its activation calls it otherwise."""
        mine = InstalledModelQuerySet(self.model).filter(
            pk=OuterRef("pk"),
            active_on__state="active",
            active_on__runtime__names__is_mismatch=True,
        )
        return self.annotate(is_misnamed=Exists(mine))

    def for_display(self) -> Self:
        rows = self.select_related("node", "capabilities")
        return rows.with_activity().with_names()

    def in_list_order(self, order: str = "") -> Self:
        """Broken first, then active, then by last use, then by name; or as asked."""
        by_name = ("name", "provider", "pk")
        if order == ListOrder.SIZE:
            largest = F("size_bytes").desc(nulls_last=True)
            return self.with_activity().order_by(largest, *by_name)
        if order == ListOrder.UNUSED:
            longest = F("last_used_at").asc(nulls_first=True)
            return self.with_activity().order_by(longest, "installed_at", *by_name)
        broken_first = Case(
            When(status=ModelStatus.BROKEN, then=V(0)),
            default=V(1),
            output_field=IntegerField(),
        )
        latest = F("last_used_at").desc(nulls_last=True)
        rows = self.with_activity()
        return rows.order_by(broken_first, "-is_active", latest, *by_name)
