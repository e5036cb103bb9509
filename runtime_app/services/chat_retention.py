"""Forgetting conversations: those that nobody has gone on with, and old tasks.

As long as requests of the history are kept, so are the conversations they came from.
In small transactions: a long delete would hold SQLite's only write lock.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from runtime_app.models import ChatSession, Task

logger = logging.getLogger(__name__)

BATCH_ROWS = 200
_PAUSE_SECONDS = 0.02


def forget_old_conversations() -> None:
    """Tasks go with their conversation, or alone when that still lives. An open one
    stays: its end is somebody's to write. May run twice, at once or again."""
    days = settings.ENV.VENOM_HISTORY_RETENTION_DAYS
    before = timezone.now() - timedelta(days=days)
    open_tasks = Task.objects.filter(finished_at=None)
    quiet = ChatSession.objects.filter(updated_at__lt=before)
    sessions = _delete(quiet.exclude(tasks__in=open_tasks))
    tasks = _delete(Task.objects.filter(finished_at__lt=before))
    if sessions or tasks:
        logger.info("old conversations deleted rows=%s tasks=%s", sessions, tasks)


def _delete(rows: QuerySet[ChatSession] | QuerySet[Task]) -> int:
    gone = 0
    while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH_ROWS]):
        rows.model._default_manager.filter(pk__in=keys).delete()
        gone += len(keys)
        time.sleep(_PAUSE_SECONDS)
    return gone
