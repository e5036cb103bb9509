"""Conversations and the tasks in them: what `/tasks` and `/sessions` keep."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from history_app.choices import RequestStatus
from runtime_app.choices import LlmStatus, MessageRole, TaskMode
from runtime_app.querysets import ChatSessionQuerySet, TaskQuerySet
from venom_site.lib.ids import uuid7


class ChatSession(models.Model):
    """A conversation; its messages survive restarts.

    `identifier` is the client's own name of it, or our id. `owner` is who began it:
    `key:<id>` or `user:<id>`; the same name of two owners is two conversations.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    identifier = models.CharField(_("session id"), max_length=64)
    owner = models.CharField(_("owner"), max_length=80)
    title = models.CharField(_("title"), max_length=120, blank=True)
    context = models.JSONField(_("context"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now)

    objects = ChatSessionQuerySet.as_manager()

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        ordering = ("-updated_at", "-id")
        constraints = [
            models.UniqueConstraint(
                fields=("owner", "identifier"), name="session_once_per_owner"
            )
        ]
        indexes = [
            models.Index(
                fields=("owner", "-updated_at", "-id"), name="session_owner_newest"
            )
        ]

    def __str__(self) -> str:
        return self.title or self.identifier


class Task(models.Model):
    """One question to a model, answered in the background.

    PENDING → PROCESSING → COMPLETED | FAILED | CANCELLED; LOST when the process that
    answered gave no sign of life. Its id is the id of its row in the history. `result`
    grows while the answer streams; the length of it is a client's place in the stream.
    `logs` holds dicts with `at, level, line`; only ever appended to.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    session = models.ForeignKey(
        ChatSession,
        verbose_name=_("conversation"),
        on_delete=models.CASCADE,
        related_name="tasks",
    )
    owner = models.CharField(_("owner"), max_length=80)
    owner_name = models.CharField(_("asked by"), max_length=150, blank=True)
    mode = models.CharField(
        _("mode"), max_length=8, choices=TaskMode, default=TaskMode.NORMAL
    )
    content = models.TextField(_("question"))
    images = models.JSONField(_("images"), default=list, blank=True)
    result = models.TextField(_("answer"), blank=True)
    status = models.CharField(
        _("status"), max_length=12, choices=RequestStatus, default=RequestStatus.PENDING
    )
    requested_model = models.CharField(_("requested model"), max_length=250, blank=True)
    forced_provider = models.CharField(_("forced provider"), max_length=60, blank=True)
    generation_params = models.JSONField(_("parameters"), default=dict, blank=True)
    store = models.BooleanField(_("store the contents"), default=True)

    llm_provider = models.CharField(_("provider"), max_length=60, blank=True)
    llm_model = models.CharField(_("model"), max_length=250, blank=True)
    llm_endpoint = models.CharField(_("endpoint"), max_length=250, blank=True)
    llm_status = models.CharField(
        _("state of the model"), max_length=8, choices=LlmStatus, blank=True
    )
    error_code = models.CharField(_("error code"), max_length=60, blank=True)
    error_class = models.CharField(_("error class"), max_length=60, blank=True)
    error_message = models.CharField(_("error"), max_length=500, blank=True)
    error_retryable = models.BooleanField(_("retryable"), null=True, blank=True)

    logs = models.JSONField(_("log"), default=list, blank=True)
    cancel_requested = models.BooleanField(_("cancel requested"), default=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    objects = TaskQuerySet.as_manager()

    class Meta:
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        ordering = ("-created_at", "-id")
        indexes = [
            models.Index(fields=("status", "updated_at"), name="task_status_updated")
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def is_finished(self) -> bool:
        return self.finished_at is not None


class ChatMessage(models.Model):
    """One turn of a conversation, in order of its id."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    session = models.ForeignKey(
        ChatSession,
        verbose_name=_("conversation"),
        on_delete=models.CASCADE,
        related_name="messages",
    )
    task = models.ForeignKey(
        Task,
        verbose_name=_("task"),
        on_delete=models.SET_NULL,
        related_name="messages",
        null=True,
        blank=True,
    )
    role = models.CharField(_("role"), max_length=9, choices=MessageRole)
    content = models.TextField(_("text"), blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        ordering = ("created_at", "id")

    def __str__(self) -> str:
        return f"{self.role}: {self.content[:40]}"
