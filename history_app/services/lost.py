"""Requests whose server died become LOST.

At once where a process starts or looks on the machine of one that has ended; elsewhere
after five minutes without a sign of life: gateways touch their open rows once a minute.
What the dead left in the spool is read first, the end of a request may stand there. One
that lives after all writes its row whole at the end, so a row marked too early corrects
itself.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from history_app.querysets import RequestRecordQuerySet
from history_app.schemas import request_payload
from history_app.services import lives, spool
from venom_site.lib import events

logger = logging.getLogger(__name__)

SILENCE = timedelta(minutes=5)
_MOST_AT_ONCE = 500


def mark_lost_requests() -> int:
    """How many rows became LOST; two of these at once are harmless."""
    spool.replay()
    return lives.bury(_give_up) + _mark_silent()


def settle_in_thread() -> None:
    """What every process does first, in a thread of its own: read the spool back and
    give up what ended processes left. Says what went wrong, the beat tries again."""
    try:
        spool.replay()
        lives.bury(_give_up)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("spooled history not read back yet %s", error)
    except Exception:
        logger.exception("spooled history not read back")
    finally:
        connection.close()


def _give_up(process: int) -> int:
    """All rows that an ended process left open."""
    left = RequestRecord.objects.left_by(process)
    why = "The process that served this request has ended."
    count = 0
    while records := list(left[:_MOST_AT_ONCE]):
        count += sum(_mark(record, left, why) for record in records)
    return count


def _mark_silent() -> int:
    silent = RequestRecord.objects.silent_since(timezone.now() - SILENCE)
    why = "The process that served this request gave no sign of life for five minutes."
    return sum(_mark(record, silent, why) for record in silent[:_MOST_AT_ONCE])


def _mark(record: RequestRecord, still: RequestRecordQuerySet, why: str) -> int:
    changed = still.filter(pk=record.pk).update(
        status=RequestStatus.LOST,
        finished_at=timezone.now(),
        partial=record.ttft_seconds is not None,
        error_code="request_lost",
        error_class="LOST",
        error_message=why,
        error_retryable=True,
    )
    if changed:
        logger.warning("request lost request=%s", record.request_id)
        record.refresh_from_db()
        payload = request_payload(record, may_view_payload=False)
        events.publish(events.Event(type="request.finished", data=payload))
    return changed
