"""Operation: one long change as a row that outlives every process."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from models_app.choices import (
    FINISHED_STATUSES,
    OPEN_STATUSES,
    PAUSABLE,
    OperationStatus,
    OperationType,
    PendingPhase,
)
from models_app.models.nodes import Node
from models_app.models.operation_steps import Step, steps_of
from models_app.querysets import OperationQuerySet
from models_app.reasons import read_stored
from venom_site.lib.ids import uuid7

if TYPE_CHECKING:
    from models_app.models.operation_log import OperationLogLine

LOG_LINES_SHOWN = 500
STALLED_AFTER = timedelta(seconds=20)


class Operation(models.Model):
    """The truth about one long change; the queue only wakes a worker for it.

    ::

        pending ──claim──▶ in_progress ──▶ completed
           ▲  │               │   │  └────▶ failed ────retry──▶ pending
           │  └──cancel──┐    │   └─cancel─▶ cancelled ─retry─▶ pending
           │             ▼    │
           │         cancelled│
           └──worker gone, drained or paused (phase interrupted | paused)

    `claim_token` is the fence: whoever writes must carry the token of the present
    claim, so a worker that was given up for dead can no longer change the row.
    `target_key` is unique while open (a second wish for the same thing joins or is
    refused); `lock_key` is unique while running (the others wait in order).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    operation_type = models.CharField(_("type"), max_length=20, choices=OperationType)
    node = models.ForeignKey(
        Node,
        verbose_name=_("node"),
        on_delete=models.PROTECT,
        related_name="operations",
    )
    parent = models.ForeignKey(
        "self",
        verbose_name=_("parent"),
        on_delete=models.SET_NULL,
        related_name="children",
        null=True,
        blank=True,
    )
    provider = models.CharField(_("provider"), max_length=60, blank=True)
    runtime = models.CharField(_("runtime"), max_length=60, blank=True)
    model_name = models.CharField(_("model"), max_length=250, blank=True)
    params = models.JSONField(_("parameters"), default=dict, blank=True)
    params_version = models.PositiveSmallIntegerField(
        _("version of parameters"), default=1
    )
    checkpoint = models.JSONField(_("checkpoint"), default=dict, blank=True)

    status = models.CharField(
        _("status"),
        max_length=12,
        choices=OperationStatus,
        default=OperationStatus.PENDING,
    )
    phase = models.CharField(_("phase"), max_length=40, default=PendingPhase.QUEUED)
    progress = models.FloatField(_("progress"), default=0)
    bytes_done = models.BigIntegerField(_("bytes done"), null=True, blank=True)
    bytes_total = models.BigIntegerField(_("bytes in all"), null=True, blank=True)
    speed_bps = models.FloatField(_("speed"), null=True, blank=True)
    message = models.CharField(_("message"), max_length=500, blank=True)
    error = models.TextField(_("error"), blank=True)
    error_code = models.CharField(_("error code"), max_length=60, blank=True)
    reason = models.TextField(_("reason as a code"), blank=True)

    started_by = models.CharField(_("started by"), max_length=150, blank=True)
    request_id = models.CharField(_("request id"), max_length=64, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    completed_at = models.DateTimeField(_("completed at"), null=True, blank=True)
    progressed_at = models.DateTimeField(_("last progress"), null=True, blank=True)

    target_key = models.CharField(_("target key"), max_length=400, blank=True)
    lock_key = models.CharField(_("lock key"), max_length=200, blank=True)
    queue = models.CharField(_("queue"), max_length=80, default="default")
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    interruptions = models.PositiveIntegerField(
        _("interruptions without progress"), default=0
    )
    not_before = models.DateTimeField(_("not before"), null=True, blank=True)
    cancel_requested = models.BooleanField(_("cancel requested"), default=False)
    pause_requested = models.BooleanField(_("pause requested"), default=False)

    claim_token = models.UUIDField(_("claim token"), null=True, blank=True)
    worker = models.CharField(_("worker"), max_length=200, blank=True)
    heartbeat = models.PositiveBigIntegerField(_("heartbeat"), default=0)
    dispatched_at = models.DateTimeField(_("last sent"), null=True, blank=True)

    objects = OperationQuerySet.as_manager()
    if TYPE_CHECKING:
        holder_id: UUID | None

    class Meta:
        verbose_name = _("operation")
        verbose_name_plural = _("operations")
        ordering = ("-created_at", "-id")
        constraints = [
            models.UniqueConstraint(
                fields=("target_key",),
                condition=Q(status__in=OPEN_STATUSES) & ~Q(target_key=""),
                name="operation_target_once",
            ),
            models.UniqueConstraint(
                fields=("lock_key",),
                condition=Q(status=OperationStatus.IN_PROGRESS) & ~Q(lock_key=""),
                name="operation_lock_once",
            ),
            models.CheckConstraint(
                condition=Q(progress__gte=0, progress__lte=100),
                name="operation_progress_percent",
            ),
            models.CheckConstraint(
                condition=Q(
                    status=OperationStatus.IN_PROGRESS, claim_token__isnull=False
                )
                | ~Q(status=OperationStatus.IN_PROGRESS) & Q(claim_token__isnull=True),
                name="operation_token_while_running",
            ),
        ]
        indexes = [
            models.Index(fields=("-created_at", "-id"), name="operation_newest"),
            models.Index(
                fields=("status", "-created_at", "-id"), name="operation_status"
            ),
            models.Index(fields=("lock_key", "status"), name="operation_lock"),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("operation-detail", args=[self.pk])

    @property
    def title(self) -> str:
        """«Install llama3.1:8b»: the verb and its object, in the reader's language."""
        verb = str(OperationType(self.operation_type).label)
        if self.operation_type == OperationType.PROBE:
            return gettext("Self-test, %(n)s s") % {
                "n": self.params.get("seconds", "?")
            }
        name = self.model_name or self.runtime
        if not name:
            return verb
        return gettext("%(verb)s %(name)s") % {"verb": verb, "name": name}

    @property
    def why(self) -> str:
        """Why it failed, in the reader's language where it was kept as a reason."""
        return str(read_stored(self.reason)) if self.reason else self.error

    @property
    def is_running(self) -> bool:
        return self.status == OperationStatus.IN_PROGRESS

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED_STATUSES

    @property
    def is_stalled(self) -> bool:
        """Running, but nothing has moved for 20 s."""
        moved = self.progressed_at or self.started_at
        return (
            self.is_running
            and moved is not None
            and (timezone.now() - moved > STALLED_AFTER)
        )

    @property
    def is_conversion(self) -> bool:
        """An install that fetches nothing: it makes another form of what lies here."""
        return "convert_from" in self.params

    @property
    def makes_room_for(self) -> str:
        """The model for which this one has to leave memory; empty for every operation
        that somebody asked for."""
        return str(self.params.get("makes_room_for", ""))

    @property
    def must_undo(self) -> bool:
        """It has changed what only its own work can bring back: whatever ends it, a
        worker has to go through it once more."""
        return bool(self.checkpoint.get("undo"))

    @property
    def can_cancel(self) -> bool:
        return not self.is_finished and not self.cancel_requested

    @property
    def can_retry(self) -> bool:
        return self.status in (OperationStatus.FAILED, OperationStatus.CANCELLED)

    @property
    def can_pause(self) -> bool:
        pausable = self.operation_type in PAUSABLE and not self.is_finished
        return pausable and not self.pause_requested

    @property
    def can_resume(self) -> bool:
        return not self.is_finished and self.pause_requested

    @property
    def duration_seconds(self) -> float | None:
        """From the first claim to the end, or to now; never negative."""
        if self.started_at is None:
            return None
        end: datetime = self.completed_at or timezone.now()
        return max(0.0, (end - self.started_at).total_seconds())

    @property
    def eta_seconds(self) -> float | None:
        """Time left at the present speed; None while that is not known."""
        if not self.is_running or self.bytes_total is None or not self.speed_bps:
            return None
        return max(0.0, (self.bytes_total - (self.bytes_done or 0)) / self.speed_bps)

    @property
    def waiting_for_id(self) -> UUID | None:
        """Id of the running operation that holds this one's lock, or of the first of
        those that fill the cap of its type."""
        may_wait = self.lock_key or self.phase == PendingPhase.WAITING
        if self.status != OperationStatus.PENDING or not may_wait:
            return None
        if not hasattr(self, "holder_id"):
            row = Operation.objects.for_display().filter(pk=self.pk).first()
            self.holder_id = row.holder_id if row else None
        return self.holder_id

    @property
    def steps(self) -> list[Step]:
        """What this kind of work goes through and how far it has come."""
        return steps_of(self)

    @cached_property
    def log_lines(self) -> list[OperationLogLine]:
        """The last 500 lines of its log, in order."""
        return list(self.lines.order_by("-id")[:LOG_LINES_SHOWN])[::-1]

    @cached_property
    def waiting_for(self) -> Operation | None:
        """The holder itself; lists fetch all of theirs at once (`with_holders`)."""
        pk = self.waiting_for_id
        return Operation.objects.filter(pk=pk).first() if pk else None
