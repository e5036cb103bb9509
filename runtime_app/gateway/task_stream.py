"""Server-sent events of one task: `/api/v1/tasks/<id>/stream`.

Events: `task_update`, `llm_provider_error`, `heartbeat`, `task_finished`, and
`task_missing` for a task that was removed meanwhile. Each `id:` is
`<log lines sent>:<characters of the answer sent>`. In the process that answers the
words come from memory, at once; elsewhere from the row, as often as it is written.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any
from uuid import UUID

from runtime_app.chat_schemas import log_line, task_payload
from runtime_app.gateway import event_stream
from runtime_app.gateway.event_stream import EventStream
from runtime_app.gateway.leaving import Receive, Send
from runtime_app.gateway.task_runner import runner
from runtime_app.governance import callers
from runtime_app.models import Task
from runtime_app.services import ask
from venom_site.lib.offloop import off_loop

STREAM = re.compile(r"/api/v1/tasks/(?P<pk>[^/]+)/stream")
UPDATE_SECONDS = 0.2  # each update carries the whole answer so far
_PLACE = re.compile(r"([0-9]{1,6}):([0-9]{1,9})")


def is_stream(path: str) -> bool:
    return STREAM.fullmatch(path) is not None


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one stream; refusals are problem+json."""
    await event_stream.serve(scope, receive, send, _admit)


def _admit(scope: dict[str, Any], send: Send) -> EventStream:
    """The stream of the task, once the caller may read it."""
    principal = callers.identify(scope, needs=None).principal
    event_stream.refuse_other_methods(scope)
    match = STREAM.fullmatch(scope["path"])
    task = ask.get_task(ask.visible_to(principal), match["pk"] if match else "")
    return TaskStream(scope, send, task, may_view=ask.may_view(task, principal))


class TaskStream(EventStream):
    subject = "task_id"
    needs = None

    def __init__(
        self, scope: dict[str, Any], send: Send, task: Task, *, may_view: bool
    ) -> None:
        super().__init__(scope, send, str(task.pk))
        known = _PLACE.fullmatch(self._given)
        self._lines, self._characters = map(int, known.groups() if known else (0, 0))
        self._task: Task | None = task
        self._may_view = may_view
        self._is_stale = False
        self._read_at = self._told_at = 0.0
        self._shown: dict[str, Any] = {}

    @property
    def place(self) -> str:
        return f"{self._lines}:{self._characters}"

    def hear(self, event: dict[str, Any]) -> None:
        if event["data"].get(self.subject) == self._pk:
            self._is_stale = True
            self.woken.set()

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            if (answering := runner.find(UUID(self._pk))) is not None:
                answering.watchers.discard(self.woken)

    async def tell(self) -> bool:
        await asyncio.sleep(self._told_at + UPDATE_SECONDS - time.monotonic())
        text = await self._look_at_both()
        task = self._task
        if task is None:
            await self._event("task_missing", {self.subject: self._pk})
            return True
        await self._tell_news(task, max(task.result, text, key=len))
        if task.is_finished:
            payload = task_payload(task, may_view=self._may_view)
            await self._event("task_finished", payload)
        return task.is_finished

    async def _look_at_both(self) -> str:
        """The words in memory, if it is answered here; reads the row when it may have
        changed. Memory first: what ends in between is in the row."""
        answering = runner.find(UUID(self._pk))
        text = answering.text if answering else ""
        if answering is not None:
            answering.watchers.add(self.woken)
        age = time.monotonic() - self._read_at
        if self._is_stale or answering is None or age > event_stream.LOOK_SECONDS:
            self._is_stale, self._read_at = False, time.monotonic()
            self._task = await off_loop(_read, self._pk)
        return text

    async def _tell_news(self, task: Task, text: str) -> None:
        fresh = task.logs[self._lines :]
        delta = text[self._characters :]
        payload = task_payload(task, may_view=self._may_view)
        for name in ("result", "logs", "updated_at"):
            del payload[name]
        is_told = task.is_finished or payload == self._shown  # the end tells all anyway
        if is_told and not fresh and not delta:
            return
        self._shown, self._told_at = payload, time.monotonic()
        for entry in fresh:
            if "event" in entry:
                await self._event("llm_provider_error", entry["event"])
        self._lines += len(fresh)
        self._characters += len(delta)
        news = task_payload(task, may_view=self._may_view) | {
            "logs": [log_line(entry) for entry in fresh],
            "result": text if self._may_view else None,
            "delta": delta if self._may_view else None,
        }
        await self._event("task_update", news)


def _read(pk: str) -> Task | None:
    return Task.objects.select_related("session").filter(pk=pk).first()
