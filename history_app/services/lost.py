"""Requests whose server died: LOST after five minutes without a sign of life.

A gateway touches its open rows once a minute; one that lives after all writes its row
whole at the end, so a row marked too early corrects itself.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.utils import timezone

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from history_app.schemas import request_payload
from venom_site.lib import events

logger = logging.getLogger(__name__)

SILENCE = timedelta(minutes=5)
_MOST_AT_ONCE = 500


def mark_lost_requests() -> int:
    """How many rows became LOST; two of these at once are harmless."""
    now = timezone.now()
    silent = RequestRecord.objects.silent_since(now - SILENCE)[:_MOST_AT_ONCE]
    return sum(_mark(record) for record in silent)


def _mark(record: RequestRecord) -> int:
    changed = (
        RequestRecord.objects.silent_since(timezone.now() - SILENCE)
        .filter(pk=record.pk)
        .update(
            status=RequestStatus.LOST,
            finished_at=timezone.now(),
            partial=record.ttft_seconds is not None,
            error_code="request_lost",
            error_class="LOST",
            error_message="The process that served this request gave no sign of life "
            "for five minutes.",
            error_retryable=True,
        )
    )
    if changed:
        logger.warning("request lost request=%s", record.request_id)
        record.refresh_from_db()
        payload = request_payload(record, may_view_payload=False)
        events.publish(events.Event(type="request.finished", data=payload))
    return changed
