"""States of a request, as docs/api.md names them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class RequestStatus(models.TextChoices):
    PENDING = "PENDING", _("Waiting")
    PROCESSING = "PROCESSING", _("Running")
    COMPLETED = "COMPLETED", _("Completed")
    FAILED = "FAILED", _("Failed")
    CANCELLED = "CANCELLED", _("Cancelled")
    LOST = "LOST", _("Lost")


OPEN_STATUSES = (RequestStatus.PENDING, RequestStatus.PROCESSING)

# What is asked of them leaves this machine.
CLOUD_PROVIDERS = frozenset({"openai", "google"})
