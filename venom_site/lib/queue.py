"""`enqueue()`: wake a worker for a row. The row is the truth, the message a hint.

Losing, repeating or reordering a message is harmless: the sweep of
`models_app.services.operations` sends it again. Therefore a broker that is away is
logged and never fails the caller.
"""

from __future__ import annotations

import logging
from uuid import UUID

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

MESSAGE_LIFE_SECONDS = 30


def enqueue(task: str, pk: UUID | str | int, *, queue: str = "default") -> None:
    """Send `task(str(pk))` to `queue` once the present transaction is committed."""
    transaction.on_commit(lambda: _send(task, str(pk), queue), robust=True)


def send_job(task: str, *, queue: str, life_seconds: float) -> None:
    """Send a periodic job without arguments to one node's queue, now."""
    _send_now(task, [], queue, life_seconds)


def _send(task: str, pk: str, queue: str) -> None:
    _send_now(task, [pk], queue, MESSAGE_LIFE_SECONDS)


def _send_now(task: str, args: list[str], queue: str, life_seconds: float) -> None:
    try:
        current_app.send_task(
            task, args=args, queue=queue, retry=False, expires=life_seconds
        )
    except (OperationalError, OSError) as error:
        logger.warning("broker away, it will be sent again task=%s %s", task, error)
