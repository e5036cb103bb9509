"""The rows of tasks while they are answered: how far, how ended, given up, forgotten.

Called by the gateway's runner off its loop, and by the scheduled jobs. Each write is
one conditional UPDATE: a task that has ended is never changed again, except that one
given up as LOST may still be ended by who answers it after all.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from history_app.choices import RequestStatus
from runtime_app.chat_schemas import progress_payload
from runtime_app.choices import LlmStatus, MessageRole
from runtime_app.events import task_changed
from runtime_app.models import Task
from runtime_app.services import sessions
from venom_site.lib.events import publish
from venom_site.lib.units import iso

logger = logging.getLogger(__name__)

SILENCE = timedelta(minutes=5)
KEPT_AFTER_END = timedelta(minutes=10)
_MOST_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there is no whole answer, in the history's words. `trouble` is the event
    `llm_provider_error` where a model's server is to blame."""

    code: str
    message: str
    error_class: str = ""
    retryable: bool | None = None
    trouble: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a task looks like at one moment; `answered_by` holds `llm_…` columns."""

    pk: UUID
    result: str = ""
    logs: list[dict[str, Any]] = field(default_factory=list)
    answered_by: dict[str, str] = field(default_factory=dict)


def log_entry(line: str, *, level: str = "info", **more: Any) -> dict[str, Any]:
    return {"at": iso(timezone.now()), "level": level, "line": line, **more}


def save_progress(changed: Iterable[Progress], running: Iterable[UUID]) -> set[UUID]:
    """Write how far these are; of all that run, those that are wanted no more."""
    for progress in changed:
        _save(progress)
    asked = set(running)
    wanted = Task.objects.running().filter(pk__in=asked, cancel_requested=False)
    return asked - set(wanted.values_list("pk", flat=True))


def _save(progress: Progress) -> None:
    with transaction.atomic():
        Task.objects.running().filter(pk=progress.pk).update(
            status=RequestStatus.PROCESSING,
            result=progress.result,
            logs=progress.logs,
            updated_at=timezone.now(),
            **progress.answered_by,
        )
        _tell(progress.pk)


def finish(
    progress: Progress, status: RequestStatus, failure: Failure | None = None
) -> None:
    """The end of a task: row, messages and context in one transaction."""
    now = timezone.now()
    with transaction.atomic():
        rows = Task.objects.open_to_its_answerer().filter(pk=progress.pk)
        if not rows.update(
            status=status,
            result=progress.result,
            logs=progress.logs,
            updated_at=now,
            finished_at=now,
            **(progress.answered_by | _error_columns(failure)),
        ):
            return
        task = Task.objects.get(pk=progress.pk)
        if status == RequestStatus.COMPLETED:
            sessions.remember(task, role=MessageRole.ASSISTANT, content=progress.result)
        if status != RequestStatus.CANCELLED:
            sessions.note_answer(task, moment=now)
        _tell(progress.pk)


def _error_columns(failure: Failure | None) -> dict[str, Any]:
    """Those of a whole answer are empty: it may have been given up before."""
    if failure is None:
        return {"error_code": "", "error_class": "", "error_message": ""}
    return {
        "llm_status": LlmStatus.ERROR,
        "error_code": failure.code[:60],
        "error_class": failure.error_class,
        "error_message": failure.message[:500],
        "error_retryable": failure.retryable,
    }


def _tell(pk: UUID) -> None:
    task = Task.objects.filter(pk=pk).first()
    if task is not None:
        publish(task_changed(progress_payload(task)))


def mark_lost_tasks() -> int:
    """Give up those whose process has ended or gives no sign of life; how many. Runs
    every minute; two of these at once are harmless."""
    left = Task.objects.abandoned_before(timezone.now() - SILENCE)[:_MOST_AT_ONCE]
    return sum(_mark_lost(task) for task in left)


def _mark_lost(task: Task) -> int:
    now = timezone.now()
    line = "The process that answered this has ended."
    if task.updated_at < now - SILENCE:
        line = "The process that answered this gave no sign of life for five minutes."
    with transaction.atomic():
        rows = Task.objects.abandoned_before(now - SILENCE).filter(pk=task.pk)
        changed = rows.update(
            status=RequestStatus.LOST,
            logs=[*task.logs, log_entry(line, level="error")],
            finished_at=now,
            updated_at=now,
            llm_status=LlmStatus.ERROR,
            error_code="task_lost",
            error_class="LOST",
            error_message=line,
            error_retryable=True,
        )
        if changed:
            logger.warning("task lost task=%s", task.pk)
            _tell(task.pk)
    return changed


def forget_texts() -> int:
    """Delete the texts of ended tasks that were not to be stored; how many."""
    rows = Task.objects.unwanted(timezone.now() - KEPT_AFTER_END)
    return rows.update(content="", result="", images=[])
