"""The only way into the history: rows kept in memory, written in batches by a thread.

Who serves a request calls `begin()` and then `update()` and `end()` of what it got;
none of them waits, asks the database or raises. A batch is one upsert on the row's id,
every 0.2 s or 500 rows. While the database is away rows are kept and tried again.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from datetime import UTC, datetime
from typing import Any, TypedDict, Unpack
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from history_app.choices import RequestStatus
from history_app.services import batches
from venom_site.lib.ids import uuid7

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.2
RETRY_SECONDS = 1.0
TOUCH_SECONDS = 60.0
BATCH_ROWS = 500
MOST_ROWS = 20_000
PREVIEW_CHARACTERS = 500
# Beyond the preview, so that a credential on its edge is still recognised as one.
_EDGE_CHARACTERS = 200


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
    usage_estimated: bool
    duration_seconds: float
    ttft_seconds: float | None
    overhead_seconds: float | None
    key_id: str
    key_name: str
    session_id: str
    parameters: dict[str, Any]


class Handle:
    """One open row. `fields` is replaced, never changed: the writer may hold it."""

    __slots__ = ("_recorder", "fields", "id")

    def __init__(self, recorder: Recorder, fields: dict[str, Any]) -> None:
        self.id: UUID = fields["id"]
        self.fields = fields
        self._recorder = recorder

    def update(self, **fields: Unpack[RequestFields]) -> None:
        self._recorder.note(self, dict(fields))

    def end(self, status: RequestStatus, **fields: Unpack[RequestFields]) -> None:
        """Close the row; a second end changes nothing."""
        if self.fields["finished_at"] is None:
            ended = {**fields, "status": status, "finished_at": datetime.now(UTC)}
            self._recorder.note(self, ended, is_over=True)


class Recorder:
    """The rows of one process that are not written yet, and the thread that writes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._waiting: dict[UUID, dict[str, Any]] = {}
        self._open: dict[UUID, Handle] = {}
        self._dropped = 0
        self._work = threading.Event()
        self._much_work = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(
        self,
        *,
        pk: UUID | None = None,
        prompt: str = "",
        **fields: Unpack[RequestFields],
    ) -> Handle:
        """A row in state PROCESSING. `prompt` is kept as VENOM_STORE_PROMPTS says."""
        pk, now = pk or uuid7(), datetime.now(UTC)
        row: dict[str, Any] = {
            "id": pk,
            "request_id": str(pk),
            "status": RequestStatus.PROCESSING,
            "created_at": now,
            "touched_at": now,
            "finished_at": None,
            "prompt_preview": _kept_prompt(prompt),
        }
        handle = Handle(self, {**row, **fields})
        self.note(handle, {})
        return handle

    def note(
        self, handle: Handle, fields: dict[str, Any], *, is_over: bool = False
    ) -> None:
        """Take the row's new state over; called by `Handle` only."""
        with self._lock:
            handle.fields = {**handle.fields, **fields}
            if is_over:
                self._open.pop(handle.id, None)
            else:
                self._open[handle.id] = handle
            self._put(handle.id, handle.fields)
        if self._thread is None:
            self._start()
        if not self._work.is_set():
            self._work.set()
        if len(self._waiting) >= BATCH_ROWS:
            self._much_work.set()

    def flush(self) -> None:
        """Write what waits, in the caller's thread; raises what the database raises."""
        with self._flushing:
            with self._lock:
                rows, self._waiting = self._waiting, {}
                dropped, self._dropped = self._dropped, 0
                self._work.clear()
                self._much_work.clear()
            try:
                batches.write(list(rows.values()))
            except (DatabaseError, InterfaceError):
                self._take_back(rows)
                raise
        if dropped:
            logger.error("history rows lost, too many waited rows=%s", dropped)

    def flush_at_exit(self) -> None:
        """The last write of a process; a database that is away loses these rows."""
        try:
            self.flush()
        except (DatabaseError, InterfaceError) as error:
            logger.error("history rows lost at exit rows=%s %s", self.waiting, error)
        finally:
            connection.close()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def _put(self, pk: UUID, fields: dict[str, Any]) -> None:
        if pk not in self._waiting and len(self._waiting) >= MOST_ROWS:
            self._dropped += 1
            return
        self._waiting[pk] = fields

    def _take_back(self, rows: dict[UUID, dict[str, Any]]) -> None:
        with self._lock:
            self._waiting = {**rows, **self._waiting}  # the newer state wins
            self._work.set()

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            self._thread = threading.Thread(
                target=self._keep_writing, name="history-recorder", daemon=True
            )
        atexit.register(self.flush_at_exit)
        self._thread.start()

    def _keep_writing(self) -> None:
        pause = 0.0
        while True:
            has_work = self._work.wait(TOUCH_SECONDS if self._open else None)
            if not has_work:
                self._touch_open(datetime.now(UTC))
            if pause:
                time.sleep(pause)
            else:
                self._much_work.wait(FLUSH_SECONDS)
            pause = self._flush_in_thread()

    def _flush_in_thread(self) -> float:
        """How long to wait before the next try."""
        try:
            self.flush()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("history not written rows=%s %s", self.waiting, error)
            return RETRY_SECONDS
        except Exception:
            logger.exception("history not written")
            return RETRY_SECONDS
        finally:
            connection.close()
        return 0.0

    def _touch_open(self, now: datetime) -> None:
        for handle in list(self._open.values()):
            self.note(handle, {"touched_at": now})


def _kept_prompt(prompt: str) -> str:
    kept = settings.ENV.VENOM_STORE_PROMPTS
    if kept == "none":
        return ""
    return prompt if kept == "full" else prompt[: PREVIEW_CHARACTERS + _EDGE_CHARACTERS]


recorder = Recorder()
