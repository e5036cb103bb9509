"""One task while it is answered: the two ends of an ASGI call through the gateway's own
door, and what came of it. Belongs to the gateway's loop; `task_runner` holds them.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import unquote

from history_app.choices import RequestStatus
from runtime_app.choices import LlmStatus
from runtime_app.gateway.answer_words import AnswerWords
from runtime_app.gateway.entries import Inside, KeyEntry
from runtime_app.gateway.schemas import CHAT
from runtime_app.models import Task
from runtime_app.services import ask
from runtime_app.services.task_rows import Failure, Progress, log_entry
from venom_site.lib.access import Scope

TOUCH_SECONDS = 60.0
# By the reason why it was not the first choice, at once; any other is a fallback.
_STATUS_BY_REASON = {"": LlmStatus.READY, "RUNTIME_STARTING": LlmStatus.STARTING}
STOPPING = Failure(
    code="gateway_stopping",
    message="Venom is stopping; send the question again.",
    retryable=True,
)


class Answering:
    """One task while it is answered: both ends of an ASGI call, and what came of it."""

    def __init__(self, task: Task, body: bytes, scopes: frozenset[Scope]) -> None:
        self.pk = task.pk
        self.text = ""
        self.watchers: set[asyncio.Event] = set()
        self.was_stopped = False
        self.has_news = True
        self.saved_at = time.monotonic()
        self._began = time.monotonic()
        self._body: bytes | None = body
        self._left = asyncio.Event()
        self._status = 0
        self._words = AnswerWords(is_stream=False)
        self._logs = [*task.logs, log_entry("Sent to the gateway.")]
        self._answered_by: dict[str, str] = {}
        self._inside = Inside(
            key=KeyEntry(
                id=ask.asker_id(task.owner),
                name=task.owner_name,
                scopes=frozenset(scopes),
                expires_at=None,
            ),
            row_id=task.pk,
            path=ask.PATH,
            session_id=task.session.identifier,
            prompt=task.content,
            keeps_contents=task.store,
        )

    def progress(self, *more: dict[str, Any]) -> Progress:
        """How far it is, with these lines at the end of its log."""
        return Progress(
            pk=self.pk,
            result=self.text,
            logs=[*self._logs, *more],
            answered_by=dict(self._answered_by),
        )

    @property
    def needs_saving(self) -> bool:
        return self.has_news or time.monotonic() - self.saved_at > TOUCH_SECONDS

    def scope(self) -> dict[str, Any]:
        return {
            "type": "http",
            "method": "POST",
            "path": CHAT,
            "headers": [(b"content-type", b"application/json")],
            "venom.inside": self._inside,
        }

    async def receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._begin_answer(message["status"], dict(message["headers"]))
        else:
            self._hear(self._words.feed(message.get("body", b"")))

    def leave(self) -> None:
        self._left.set()

    def _begin_answer(self, status: int, headers: dict[bytes, bytes]) -> None:
        kind = headers.get(b"content-type", b"")
        self._status = status
        self._words = AnswerWords(is_stream=kind.startswith(b"text/event-stream"))
        provider = _header(headers, b"x-venom-provider")
        if provider in {"", "none"}:
            return
        self._answered_by = {
            "llm_provider": provider,
            "llm_model": _header(headers, b"x-venom-model"),
            "llm_endpoint": _header(headers, b"x-venom-endpoint"),
        }
        if status == 200:
            reason = _header(headers, b"x-venom-reason")
            took = _STATUS_BY_REASON.get(reason, LlmStatus.FALLBACK)
            self._answered_by["llm_status"] = took
            seconds = time.monotonic() - self._began
            model = self._answered_by["llm_model"]
            line = f"{provider} {model} answers after {seconds:.2f} s."
            self._logs.append(log_entry(line))
            self.has_news = True

    def _hear(self, words: str) -> None:
        if words:
            self.text += words
            self.has_news = True
            self.wake_watchers()

    def wake_watchers(self) -> None:
        for watcher in self.watchers:
            watcher.set()

    def outcome(self) -> RequestStatus:
        """How it ended, once the gateway has returned."""
        self._hear(self._words.end())
        words = self._words
        if self._status == 200 and words.is_complete and words.error is None:
            return RequestStatus.COMPLETED
        if self._left.is_set():
            return RequestStatus.CANCELLED
        return RequestStatus.FAILED

    def said_failure(self) -> Failure:
        """What the gateway said instead of an answer, or of the rest of it."""
        said = self._words.error
        if said is None and self.was_stopped:
            return STOPPING
        said = said or {}
        return Failure(
            code=str(said.get("code") or "internal_error"),
            message=str(said.get("message") or "The answer ended without a reason."),
        )


def _header(headers: dict[bytes, bytes], name: bytes) -> str:
    return unquote(headers.get(name, b"").decode("latin-1"))
