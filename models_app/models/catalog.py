"""What catalogues answered, kept so that a page never waits for a foreign host."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from models_app.choices import CatalogSource
from venom_site.lib.ids import uuid7


class CatalogEntry(models.Model):
    """One answer of one source: a list, a model's details, a month of papers.

    `key` is the question in one fixed spelling (`trending?limit=12`). `payload` is the
    last good answer and stays when a later call fails; `error_code` and `error` tell of
    that failure and are empty after a success, `failed_at` says since when it fails.
    `refreshing_until` is the claim of whoever asks the source now: others wait for the
    row or show the old copy.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    source = models.CharField(_("source"), max_length=20, choices=CatalogSource)
    key = models.CharField(_("question"), max_length=300)
    payload = models.JSONField(_("answer"), null=True, blank=True)
    fetched_at = models.DateTimeField(_("fetched at"), null=True, blank=True)
    error_code = models.CharField(_("error code"), max_length=40, blank=True)
    error = models.CharField(_("error"), max_length=500, blank=True)
    failed_at = models.DateTimeField(_("failed at"), null=True, blank=True)
    asked_at = models.DateTimeField(_("source last asked at"), null=True, blank=True)
    viewed_at = models.DateTimeField(_("last looked at"), null=True, blank=True)
    refreshing_until = models.DateTimeField(
        _("being refreshed until"), null=True, blank=True
    )

    class Meta:
        verbose_name = _("kept answer")
        verbose_name_plural = _("kept answers")
        ordering = ("source", "key")
        constraints = [
            models.UniqueConstraint(
                fields=("source", "key"), name="catalog_entry_once"
            ),
        ]
        indexes = [models.Index(fields=("viewed_at",), name="catalog_entry_viewed")]

    def __str__(self) -> str:
        return f"{self.source}: {self.key}"


class CatalogPause(models.Model):
    """A source that is left alone until then: it asked for it, or it is away.

    `since` is when the first of these pauses began that no success has ended.
    """

    source = models.CharField(
        _("source"), max_length=20, choices=CatalogSource, primary_key=True
    )
    code = models.CharField(_("error code"), max_length=40, blank=True)
    since = models.DateTimeField(_("since"), default=timezone.now)
    until = models.DateTimeField(_("until"))
    reason = models.CharField(_("reason"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("paused source")
        verbose_name_plural = _("paused sources")
        ordering = ("source",)

    def __str__(self) -> str:
        return f"{self.source} until {self.until:%H:%M:%S}"
