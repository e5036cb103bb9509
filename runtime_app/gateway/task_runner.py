"""Tasks are answered here, by the process that took them; their rows tell how far.

The words are kept in memory and written twice a second at most; a reader in this
process sees them at once. Belongs to the gateway's event loop; `hand_over` and `leave`
may be called from any thread.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import time
from typing import Any
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connections

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from history_app.recorder import recorder
from runtime_app.gateway.answering import STOPPING, Answering
from runtime_app.gateway.app import app as gateway
from runtime_app.services import task_rows
from runtime_app.services.task_rows import Failure, log_entry
from venom_site.lib.offloop import off_loop

logger = logging.getLogger(__name__)

SAVE_SECONDS = 0.5
LOOK_SECONDS = 1.0  # for a cancel that was asked for in another process
FINISH_TRIES = 60
# What a model's server is to blame for; its own refusals and ours are not.
TROUBLES = frozenset({"MODEL_NOT_FOUND", "OFFLINE", "TIMEOUT", "DEGRADED"})


class Runner:
    """The tasks that this process answers now."""

    def __init__(self) -> None:
        self._answering: dict[UUID, Answering] = {}
        self._jobs: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._is_registered = False

    def find(self, pk: UUID) -> Answering | None:
        return self._answering.get(pk)

    def hand_over(self, answering: Answering) -> None:
        """Begin to answer it on the gateway's loop; called from any thread."""
        loop = gateway.loop
        if loop is None:
            _end_stopped(answering)
            return
        if not self._is_registered:
            self._is_registered = True
            atexit.register(self.end_at_exit)
        self._answering[answering.pk] = answering
        loop.call_soon_threadsafe(self._begin, answering)

    def leave(self, pk: UUID) -> None:
        """Give the answer of a task up, if it is ours; called from any thread."""
        answering, loop = self._answering.get(pk), gateway.loop
        if answering is not None and loop is not None:
            loop.call_soon_threadsafe(answering.leave)

    async def stop(self) -> None:
        """The process ends: what runs is cut, and its row keeps what came."""
        loop = asyncio.get_running_loop()
        known = {*self._jobs, *([self._keeper] if self._keeper else [])}
        # What an earlier loop of this process left cannot be awaited here.
        jobs = [job for job in known if job.get_loop() is loop]
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    def end_at_exit(self) -> None:
        """What `stop` never met: daphne ends without telling its apps."""
        for answering in list(self._answering.values()):
            with contextlib.suppress(DatabaseError, InterfaceError):
                _end_stopped(answering)
        connections.close_all()

    def _begin(self, answering: Answering) -> None:
        job = asyncio.get_running_loop().create_task(self._answer(answering))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        if self._keeper is None or self._keeper.done():
            self._news = asyncio.Event()
            self._keeper = asyncio.get_running_loop().create_task(self._keep())
        answering.watchers.add(self._news)
        self._news.set()

    async def _answer(self, answering: Answering) -> None:
        try:
            try:
                await gateway(answering.scope(), answering.receive, answering.send)
            except asyncio.CancelledError:  # by `stop`: what came is kept
                answering.was_stopped = True
            await self._finish(answering)
        except Exception:
            logger.exception("task failed task=%s", answering.pk)
        finally:
            self._answering.pop(answering.pk, None)
            answering.wake_watchers()

    async def _finish(self, answering: Answering) -> None:
        """Write the end down; a database that is away is tried again for a minute."""
        status = answering.outcome()
        for _attempt in range(FINISH_TRIES):
            try:
                await off_loop(_write_end, answering, status)
                return
            except (DatabaseError, InterfaceError) as error:
                logger.warning("task not written task=%s %s", answering.pk, error)
                await asyncio.sleep(1)

    async def _keep(self) -> None:
        """Save what is new, twice a second at most, and hear who is wanted no more."""
        while self._answering:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), LOOK_SECONDS)
            self._news.clear()
            await self._save()
            await asyncio.sleep(SAVE_SECONDS)

    async def _save(self) -> None:
        running = list(self._answering.values())
        changed = [answering for answering in running if answering.needs_saving]
        for answering in changed:
            answering.has_news, answering.saved_at = False, time.monotonic()
        try:
            unwanted = await off_loop(
                task_rows.save_progress,
                [answering.progress() for answering in changed],
                [answering.pk for answering in running],
            )
        except Exception:  # whatever it is, the next round tries again
            logger.exception("tasks not saved")
            for answering in changed:
                answering.has_news = True
            return
        for answering in running:
            if answering.pk in unwanted:
                answering.leave()


def _write_end(answering: Answering, status: RequestStatus) -> None:
    if status != RequestStatus.FAILED:
        entry = log_entry(f"{status.capitalize()}.")
        task_rows.finish(answering.progress(entry), status)
        return
    failure = _failure(answering)
    more = {"event": failure.trouble} if failure.trouble else {}
    entry = log_entry(failure.message, level="error", **more)
    task_rows.finish(answering.progress(entry), status, failure)


def _end_stopped(answering: Answering) -> None:
    entry = log_entry(STOPPING.message, level="error")
    task_rows.finish(answering.progress(entry), RequestStatus.FAILED, STOPPING)


def _failure(answering: Answering) -> Failure:
    """The history knows why, in more words than the gateway tells its clients."""
    recorder.flush()
    record = RequestRecord.objects.filter(pk=answering.pk).first()
    if record is None or not record.error_code:
        return answering.said_failure()
    return Failure(
        code=record.error_code,
        message=record.error_message,
        error_class=record.error_class,
        retryable=record.error_retryable,
        trouble=_trouble(record),
    )


def _trouble(record: RequestRecord) -> dict[str, Any] | None:
    if record.error_class not in TROUBLES or not record.llm_provider:
        return None
    hops = (record.trace or {}).get("hops") or [{}]
    return {
        "provider": record.llm_provider,
        "model": record.llm_model,
        "endpoint": record.llm_endpoint,
        "http_status": hops[-1].get("status"),
        "request_id": record.request_id,
    }


runner = Runner()
