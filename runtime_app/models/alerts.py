"""Alert: one trouble that is going on, however often it was seen."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from runtime_app.choices import AlertSeverity, AlertState, AlertView, RuntimeKind
from runtime_app.querysets import AlertQuerySet
from venom_site.lib.ids import uuid7

_ANSWERED = _("%(server)s at %(address)s answered %(status)s for %(model)s.")
_BY_CODE = {
    "activation_failed": _(
        "%(model)s could not be activated on %(server)s at %(address)s."
    ),
    "alias_mismatch": _(
        "%(server)s at %(address)s does not publish %(model)s under its name."
    ),
    "memory_high": _("The memory of %(node)s is nearly full (%(part)s)."),
    "server_crashed": _("%(server)s at %(address)s crashed: %(message)s"),
}
_BY_CLASS = {
    "OFFLINE": _(
        "%(server)s at %(address)s does not accept connections for %(model)s."
    ),
    "TIMEOUT": _("%(server)s at %(address)s did not answer in time for %(model)s."),
    "DEGRADED": _("%(server)s at %(address)s broke off its answer for %(model)s."),
}


class Alert(models.Model):
    """open → closed, by itself when the condition clears or by a person.

    `key` says what is one trouble: `<code>|<endpoint>|<model>`, with the part of a
    machine in place of the endpoint where it is about one; at most one alert with
    the same key is open, repeats raise `count` and `last_seen_at`. A silenced alert is
    an open one that no banner shows until `silenced_until`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    key = models.CharField(_("what is one trouble"), max_length=600)
    code = models.CharField(_("code"), max_length=60)
    severity = models.CharField(
        _("severity"),
        max_length=8,
        choices=AlertSeverity,
        default=AlertSeverity.CRITICAL,
    )
    state = models.CharField(
        _("state"), max_length=8, choices=AlertState, default=AlertState.OPEN
    )
    provider = models.CharField(_("provider"), max_length=60, blank=True)
    runtime = models.CharField(_("runtime"), max_length=60, blank=True)
    model = models.CharField(_("model"), max_length=250, blank=True)
    endpoint = models.CharField(_("endpoint"), max_length=250, blank=True)
    node = models.CharField(_("node"), max_length=63, blank=True)
    error_class = models.CharField(_("error class"), max_length=60, blank=True)
    http_status = models.PositiveSmallIntegerField(
        _("HTTP status"), null=True, blank=True
    )
    message = models.CharField(_("message"), max_length=500)
    request_id = models.CharField(_("last request id"), max_length=64, blank=True)
    count = models.PositiveIntegerField(_("times"), default=1)
    first_seen_at = models.DateTimeField(_("first seen"), default=timezone.now)
    last_seen_at = models.DateTimeField(_("last seen"), default=timezone.now)
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)
    closed_by = models.CharField(_("closed by"), max_length=150, blank=True)
    silenced_until = models.DateTimeField(_("silenced until"), null=True, blank=True)
    silenced_by = models.CharField(_("silenced by"), max_length=150, blank=True)
    silence_reason = models.CharField(_("why silenced"), max_length=200, blank=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        ordering = ("-last_seen_at", "-id")
        constraints = [
            models.UniqueConstraint(
                fields=("key",),
                condition=Q(state=AlertState.OPEN),
                name="alert_open_once",
            )
        ]
        indexes = [
            models.Index(
                fields=("state", "-last_seen_at", "-id"), name="alert_state_newest"
            )
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.model}".strip()

    def get_absolute_url(self) -> str:
        view = (
            "" if self.shown_state == AlertView.OPEN else f"?state={self.shown_state}"
        )
        return f"{reverse('alert-list')}{view}#alert-{self.pk}"

    @property
    def is_open(self) -> bool:
        return self.state == AlertState.OPEN

    @property
    def is_silenced(self) -> bool:
        return self.silenced_until is not None and self.silenced_until > timezone.now()

    @property
    def is_loud(self) -> bool:
        return self.is_open and not self.is_silenced

    @property
    def shown_state(self) -> str:
        if self.is_open and self.is_silenced:
            return AlertView.SILENCED
        return self.state

    @property
    def requests_since(self) -> datetime:
        """When the first request that failed may have begun: the longest deadline
        before it was seen to fail."""
        return self.first_seen_at - timedelta(minutes=10)

    @property
    def lasted_seconds(self) -> float:
        return (self.last_seen_at - self.first_seen_at).total_seconds()

    @property
    def server(self) -> str:
        """Ollama and vLLM by their names; a server added by hand by its own."""
        return str(dict(RuntimeKind.choices).get(self.runtime, self.runtime))

    @property
    def sentence(self) -> str:
        """What happened and where, in the reader's language; `message` as a last
        resort, which is English."""
        known = _BY_CODE.get(self.code) or _BY_CLASS.get(self.error_class)
        if self.code not in _BY_CODE and self.http_status:
            known = _ANSWERED
        if known is None:
            return self.message
        return str(known) % {
            "server": self.server,
            "address": urlsplit(self.endpoint).netloc.rpartition("@")[2],
            "model": self.model,
            "status": self.http_status,
            "node": self.node,
            "part": self.error_class,
            "message": self.message,
        }
