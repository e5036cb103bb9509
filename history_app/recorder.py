"""The only way into the history: rows kept in memory, written in batches by a thread.

Who serves a request calls `begin()` and then `update()` and `end()` of what it got;
none of them waits, asks the database or raises. How rows reach the database, and what
becomes of them while it is away, stands in `services/writer.py`.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict, Unpack
from uuid import UUID

from django.conf import settings

from history_app.choices import RequestStatus
from history_app.services import lives
from history_app.services.row_values import PREVIEW_CHARACTERS as PREVIEW_CHARACTERS
from history_app.services.writer import MINUTE_SECONDS, Writer
from history_app.trace import Trace
from venom_site.lib.ids import uuid7

# Beyond the preview, so that a credential on its edge is still recognised as one.
_EDGE_CHARACTERS = 200
PREVIEW_TAKEN = PREVIEW_CHARACTERS + _EDGE_CHARACTERS
_TICK = timedelta(microseconds=1)


class ErrorFields(TypedDict, total=False):
    """How a request failed."""

    error_code: str
    error_class: str
    error_message: str
    error_retryable: bool | None


class RequestFields(ErrorFields, total=False):
    """Columns of `RequestRecord` that a server of requests knows."""

    request_id: str
    path: str
    stream: bool
    requested_model: str
    llm_provider: str
    llm_model: str
    llm_endpoint: str
    runtime: str
    node: str
    http_status: int | None
    attempts: int
    fallback: bool
    partial: bool
    reason_code: str
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    reasoning_tokens: int | None
    usage_estimated: bool
    duration_seconds: float
    ttft_seconds: float | None
    queue_seconds: float | None
    overhead_seconds: float | None
    key_id: str
    key_name: str
    session_id: str
    parameters: dict[str, Any]
    trace: Trace


class Handle:
    """One open row. `fields` is replaced, never changed: the writer may hold it."""

    __slots__ = ("_keeps_contents", "_recorder", "fields", "id")

    def __init__(
        self, recorder: Recorder, fields: dict[str, Any], *, keeps_contents: bool
    ) -> None:
        self.id: UUID = fields["id"]
        self.fields = fields
        self._recorder = recorder
        self._keeps_contents = keeps_contents

    def update(self, **fields: Unpack[RequestFields]) -> None:
        """Say more of an open row; of a closed one it changes nothing."""
        self._recorder.note(self, dict(fields))

    def end(
        self,
        status: RequestStatus,
        *,
        answer: str = "",
        **fields: Unpack[RequestFields],
    ) -> None:
        """Close the row; a second end changes nothing. `answer` is kept as
        VENOM_STORE_PROMPTS says."""
        ended: dict[str, Any] = {**fields, "status": status}
        ended["finished_at"] = datetime.now(UTC)
        if answer and self._keeps_contents:
            ended["answer_preview"] = _kept(answer)
        self._recorder.note(self, ended)


class Recorder:
    """The open rows of one process, and the writer of all its rows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[UUID, Handle] = {}
        self._writer = Writer(every_minute=self._touch_open)

    def start(self) -> None:
        """Settle what ended processes left; otherwise the first row does that."""
        self._writer.start()

    def begin(
        self,
        *,
        pk: UUID | None = None,
        prompt: str = "",
        keeps_contents: bool = True,
        **fields: Unpack[RequestFields],
    ) -> Handle:
        """A row in state PROCESSING. `prompt` is kept as VENOM_STORE_PROMPTS says;
        without `keeps_contents` neither it nor the answer is."""
        pk, now = pk or uuid7(), datetime.now(UTC)
        row: dict[str, Any] = {
            "id": pk,
            "status": RequestStatus.PROCESSING,
            "created_at": now,
            "touched_at": now,
            "finished_at": None,
            "process": lives.PROCESS,
            "prompt_preview": _kept(prompt) if keeps_contents else "",
            **fields,
        }
        if "request_id" not in row:
            row["request_id"] = str(pk)
        handle = Handle(self, row, keeps_contents=keeps_contents)
        self._open[pk] = handle
        self._writer.put(pk, row)
        return handle

    def note(self, handle: Handle, fields: dict[str, Any]) -> None:
        """Take the row's new state over; called by `Handle` only."""
        with self._lock:
            known = handle.fields
            if known["finished_at"] is not None:
                return
            now = fields.get("finished_at") or datetime.now(UTC)
            # Each state is later than the one before, whatever the clock does: the
            # database and the spool keep the latest.
            touched_at = max(now, known["touched_at"] + _TICK)
            handle.fields = row = {**known, **fields, "touched_at": touched_at}
            if row["finished_at"] is not None:
                del self._open[handle.id]
            self._writer.put(handle.id, row)

    def flush(self) -> None:
        """Write what waits, in the caller's thread; raises what the database raises."""
        self._writer.flush()

    def flush_at_exit(self) -> None:
        """The last write of a process; nothing that ended before is lost."""
        self._writer.flush_at_exit()

    @property
    def waiting(self) -> int:
        return self._writer.waiting

    def _touch_open(self) -> None:
        """A sign of life for rows that have said nothing for a minute."""
        before = datetime.now(UTC) - timedelta(seconds=MINUTE_SECONDS)
        for handle in list(self._open.values()):
            if handle.fields["touched_at"] < before:
                self.note(handle, {})


def _kept(text: str) -> str:
    kept = settings.ENV.VENOM_STORE_PROMPTS if text else "none"
    if kept == "none":
        return ""
    return text if kept == "full" else text[:PREVIEW_TAKEN]


recorder = Recorder()
