"""Deleting requests older than VENOM_HISTORY_RETENTION_DAYS.

In batches by key, each a short transaction of its own: a long delete would hold
SQLite's only write lock while requests want to be recorded.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from history_app.models import RequestRecord

logger = logging.getLogger(__name__)

BATCH_ROWS = 1000
_PAUSE_SECONDS = 0.02


def apply_retention() -> int:
    """How many rows went. May run twice, at once or again."""
    before = timezone.now() - timedelta(days=settings.ENV.VENOM_HISTORY_RETENTION_DAYS)
    old = RequestRecord.objects.filter(created_at__lt=before).order_by("created_at")
    gone = 0
    while keys := list(old.values_list("pk", flat=True)[:BATCH_ROWS]):
        gone += RequestRecord.objects.filter(pk__in=keys).delete()[0]
        time.sleep(_PAUSE_SECONDS)
    if gone:
        logger.info("old requests deleted rows=%s before=%s", gone, before.date())
    return gone
