"""One row per request that went through the gateway: who asked, who answered."""

from __future__ import annotations

from django.db import models
from django.db.models import F, OrderBy, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from history_app.choices import CLOUD_PROVIDERS, RequestStatus
from history_app.querysets import IS_CLOUD, RequestRecordQuerySet
from venom_site.lib.folded import Folded
from venom_site.lib.ids import uuid7

NEWEST = ("-created_at", "-id")


def folded(column: str) -> tuple[Folded, OrderBy, OrderBy]:
    return Folded(column), F("created_at").desc(), F("id").desc()


class RequestRecord(models.Model):
    """A request and its answer.

    PROCESSING → COMPLETED | FAILED | CANCELLED; a row whose gateway died becomes LOST
    (`services/lost.py`). `finished_at` is null until then. `process` is the number of
    the process that serves it (`services/lives.py`).
    `trace` explains the answer, `{"v": 1, "candidates": […], "hops": […], "steps": […],
    "notes": […]}` in the shapes of `history_app.trace`; lists leave it out.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    request_id = models.CharField(_("request id"), max_length=64)
    status = models.CharField(
        _("status"), max_length=12, choices=RequestStatus, default=RequestStatus.PENDING
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    touched_at = models.DateTimeField(_("last sign of life"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    duration_seconds = models.FloatField(_("duration"), null=True, blank=True)
    ttft_seconds = models.FloatField(_("time to first token"), null=True, blank=True)
    queue_seconds = models.FloatField(
        _("held before it was sent"), null=True, blank=True
    )
    overhead_seconds = models.FloatField(_("own overhead"), null=True, blank=True)

    path = models.CharField(_("path"), max_length=100, default="/v1/chat/completions")
    stream = models.BooleanField(_("stream"), default=False)
    requested_model = models.CharField(_("requested model"), max_length=250, blank=True)
    llm_provider = models.CharField(_("provider"), max_length=60, blank=True)
    llm_model = models.CharField(_("model"), max_length=250, blank=True)
    llm_endpoint = models.CharField(_("endpoint"), max_length=250, blank=True)
    runtime = models.CharField(_("runtime"), max_length=60, blank=True)
    node = models.CharField(_("node"), max_length=63, blank=True)
    # Null and not empty: SQLite would copy the whole table to add it.
    process = models.BigIntegerField(_("process"), null=True, blank=True)

    http_status = models.PositiveSmallIntegerField(
        _("HTTP status"), null=True, blank=True
    )
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    fallback = models.BooleanField(_("fallback"), default=False)
    partial = models.BooleanField(_("partial"), default=False)
    reason_code = models.CharField(_("reason code"), max_length=60, blank=True)
    error_code = models.CharField(_("error code"), max_length=60, blank=True)
    error_class = models.CharField(_("error class"), max_length=60, blank=True)
    error_message = models.CharField(_("error"), max_length=500, blank=True)
    error_retryable = models.BooleanField(_("retryable"), null=True, blank=True)

    input_tokens = models.PositiveIntegerField(_("input tokens"), null=True, blank=True)
    output_tokens = models.PositiveIntegerField(
        _("output tokens"), null=True, blank=True
    )
    cached_input_tokens = models.PositiveIntegerField(
        _("input tokens from a cache"), null=True, blank=True
    )
    reasoning_tokens = models.PositiveIntegerField(
        _("output tokens of reasoning"), null=True, blank=True
    )
    usage_estimated = models.BooleanField(_("usage estimated"), default=False)
    cost_usd = models.DecimalField(
        _("cost"), max_digits=12, decimal_places=6, null=True, blank=True
    )

    key_id = models.CharField(_("key id"), max_length=64, blank=True)
    key_name = models.CharField(_("asked by"), max_length=150, blank=True)
    session_id = models.CharField(_("session id"), max_length=64, blank=True)
    prompt_preview = models.TextField(_("prompt"), blank=True)
    answer_preview = models.TextField(_("answer"), blank=True)
    parameters = models.JSONField(_("parameters"), default=dict, blank=True)
    trace = models.JSONField(_("trace"), default=dict, blank=True)

    objects = RequestRecordQuerySet.as_manager()

    class Meta:
        verbose_name = _("request")
        verbose_name_plural = _("requests")
        ordering = ("-created_at", "-id")
        # One per way of `services/filters.py`; the partial ones cost nothing for the
        # rows they leave out, nearly all.
        indexes = [
            models.Index(fields=NEWEST, name="request_newest"),
            models.Index(fields=("status", *NEWEST), name="request_status"),
            models.Index(fields=("llm_provider", *NEWEST), name="request_provider"),
            models.Index(fields=("key_id", *NEWEST), name="request_key"),
            models.Index(*folded("key_name"), name="request_key_name"),
            models.Index(*folded("llm_model"), name="request_llm_model"),
            models.Index(*folded("request_id"), name="request_called"),
            models.Index(*folded("session_id"), name="request_session"),
            models.Index(Folded("requested_model"), name="request_requested"),
            models.Index(fields=("duration_seconds",), name="request_duration"),
            models.Index(
                fields=("error_code", *NEWEST),
                condition=Q(error_code__gt=""),
                name="request_error",
            ),
            models.Index(
                fields=NEWEST, condition=Q(fallback=True), name="request_fallback"
            ),
            models.Index(fields=NEWEST, condition=IS_CLOUD, name="request_cloud"),
        ]

    def __str__(self) -> str:
        return f"{self.request_id} {self.llm_model or self.requested_model}"

    def get_absolute_url(self) -> str:
        return reverse("request-detail", args=[self.pk])

    @property
    def is_running(self) -> bool:
        return self.finished_at is None

    @property
    def is_cloud(self) -> bool:
        """What was asked left this machine."""
        return self.llm_provider.lower() in CLOUD_PROVIDERS

    @property
    def ttft_ms(self) -> float | None:
        seconds = self.ttft_seconds
        return None if seconds is None else round(seconds * 1000, 1)
