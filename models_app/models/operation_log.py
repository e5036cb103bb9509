"""OperationLogLine: what an operation says while it works, line by line."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from models_app.choices import LogLevel
from models_app.models.operations import Operation


class OperationLogLine(models.Model):
    """One line of an operation's log; its id is the SSE event id of that line."""

    operation = models.ForeignKey(
        Operation, on_delete=models.CASCADE, related_name="lines"
    )
    at = models.DateTimeField(_("at"), default=timezone.now)
    level = models.CharField(_("level"), max_length=7, choices=LogLevel)
    line = models.TextField(_("line"))

    class Meta:
        verbose_name = _("log line")
        verbose_name_plural = _("log lines")
        ordering = ("id",)
        indexes = [models.Index(fields=("operation", "id"), name="operation_log")]

    def __str__(self) -> str:
        return self.line
