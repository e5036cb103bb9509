"""Keys of programs, one-time sign-in links, and the permission names."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from runtime_app.querysets import ApiKeyQuerySet
from venom_site.lib.ids import uuid7


class Access(models.Model):  # noqa: DJ008 - there is never a row of it
    """No table: the home of the permissions that pages, calls and sockets check."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = [
            ("scope_inference", "May send requests to models"),
            ("scope_read", "May see everything but contents and secrets"),
            ("scope_operate", "May install, activate, start, stop and cancel"),
            ("scope_govern", "May change limits, providers and keys"),
            ("scope_admin", "May do everything"),
            ("view_payload", "May read the contents of requests"),
        ]


class ApiKey(models.Model):
    """A program's key: `venom_` + 43 characters, stored as its SHA-256."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(_("name"), max_length=80, unique=True)
    prefix = models.CharField(_("first characters"), max_length=12, db_index=True)
    key_hash = models.CharField(
        _("SHA-256"), max_length=64, unique=True, editable=False
    )
    scopes = models.JSONField(_("scopes"), default=list)
    may_view_payload = models.BooleanField(_("may read contents"), default=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner"),
        on_delete=models.SET_NULL,
        related_name="api_keys",
        null=True,
        blank=True,
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("admin:runtime_app_apikey_change", args=[self.pk])


class SignInLink(models.Model):
    """A one-time link of 15 minutes that creates or signs in the owner."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    token_hash = models.CharField(_("SHA-256"), max_length=64, unique=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    expires_at = models.DateTimeField(_("expires at"))
    used_at = models.DateTimeField(_("used at"), null=True, blank=True)

    class Meta:
        verbose_name = _("sign-in link")
        verbose_name_plural = _("sign-in links")
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return str(self.pk)
