"""The shapes of questions, tasks and conversations (docs/api.md): in and out.

Bodies are strict and ignore fields they do not know; but for parameters, where an
unknown name is a mistake somebody would want to hear of.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from ninja import Field, Schema
from pydantic import AfterValidator, ConfigDict

from runtime_app.models import ChatMessage, ChatSession, Task
from venom_site.lib.units import iso

MOST_CHARACTERS = 100_000
MOST_IMAGES = 8
_IMAGE = re.compile(r"data:image/(png|jpeg|webp|gif);base64,[A-Za-z0-9+/]+={0,2}")


def _data_url(value: str) -> str:
    """Nothing is fetched for a caller: an image travels in the question itself."""
    if not _IMAGE.fullmatch(value):
        raise ValueError(
            "must be data:image/png;base64,… (or jpeg, webp, gif); nothing is fetched"
        )
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must hold a question")
    return value


SessionName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]*$", min_length=1, max_length=64),
]


class Parameters(Schema):
    """Generation parameters of one question; those left out are the model's own."""

    model_config = ConfigDict(strict=True, extra="forbid")

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1000)] | None = None
    repeat_penalty: Annotated[float, Field(ge=0, le=2)] | None = None


class TaskBody(Schema):
    """POST `/tasks`."""

    model_config = ConfigDict(strict=True)

    content: Annotated[
        str, Field(max_length=MOST_CHARACTERS), AfterValidator(_not_blank)
    ]
    session_id: SessionName | None = None
    model: Annotated[str, Field(max_length=250)] | None = None
    mode: Literal["normal", "direct", "complex"] = "normal"
    forced_provider: Annotated[str, Field(max_length=60)] | None = None
    generation_params: Parameters | None = None
    images: Annotated[
        list[Annotated[str, AfterValidator(_data_url)]], Field(max_length=MOST_IMAGES)
    ] = []
    store: bool = True


class TaskLogLine(Schema):
    at: str
    level: str
    line: str


class TaskError(Schema):
    model_config = ConfigDict(populate_by_name=True)

    code: str
    error_class: str | None = Field(alias="class")
    message: str
    retryable: bool | None


class TaskOut(Schema):
    """The TaskResponse; `content_hidden` where contents are null for the reader."""

    success: bool = True
    task_id: str
    status: str
    session_id: str
    mode: str
    content: str | None
    result: str | None
    logs: list[TaskLogLine]
    created_at: str
    updated_at: str
    finished_at: str | None
    llm_provider: str | None
    llm_model: str | None
    llm_endpoint: str | None
    llm_status: str | None
    error: TaskError | None
    context_history: dict[str, Any]
    content_hidden: bool | None = None


class MessageOut(Schema):
    role: str
    content: str | None
    task_id: str | None
    created_at: str


class SessionOut(Schema):
    session_id: str
    title: str | None
    created_at: str
    updated_at: str
    message_count: int
    content_hidden: bool | None = None


class SessionAnswer(SessionOut):
    success: bool = True
    messages: list[MessageOut]


class SessionList(Schema):
    success: bool = True
    sessions: list[SessionOut]
    count: int = Field(description="How many this page holds.")
    next: str | None = Field(description="The cursor of the next page.")


class SessionQuery(Schema):
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = None


class SessionDeleted(Schema):
    success: bool = True
    session_id: str


def task_payload(task: Task, *, may_view: bool) -> dict[str, Any]:
    """The fields of `TaskOut`; contents are null for who may not see them."""
    payload: dict[str, Any] = {
        "success": True,
        "task_id": str(task.pk),
        "status": task.status,
        "session_id": task.session.identifier,
        "mode": task.mode,
        "content": task.content if may_view else None,
        "result": task.result if may_view else None,
        "logs": [log_line(entry) for entry in task.logs],
        "created_at": iso(task.created_at),
        "updated_at": iso(task.updated_at),
        "finished_at": iso(task.finished_at),
        "llm_provider": task.llm_provider or None,
        "llm_model": task.llm_model or None,
        "llm_endpoint": task.llm_endpoint or None,
        "llm_status": task.llm_status or None,
        "error": _error(task),
        "context_history": task.session.context,
    }
    return payload if may_view else payload | {"content_hidden": True}


def log_line(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: entry[name] for name in ("at", "level", "line")}


def _error(task: Task) -> dict[str, Any] | None:
    if not task.error_code:
        return None
    return {
        "code": task.error_code,
        "class": task.error_class or None,
        "message": task.error_message,
        "retryable": task.error_retryable,
    }


def progress_payload(task: Task) -> dict[str, Any]:
    """What everybody with `read` may hear: how far it is, not what it says."""
    return {
        "task_id": str(task.pk),
        "status": task.status,
        "characters": len(task.result),
        "llm_provider": task.llm_provider or None,
        "llm_model": task.llm_model or None,
    }


def session_payload(session: ChatSession, *, may_view: bool) -> dict[str, Any]:
    """For a row that was read `with_counts()`."""
    payload: dict[str, Any] = {
        "session_id": session.identifier,
        "title": session.title if may_view else None,
        "created_at": iso(session.created_at),
        "updated_at": iso(session.updated_at),
        "message_count": session.message_count,  # type: ignore[attr-defined]
    }
    return payload if may_view else payload | {"content_hidden": True}


def message_payload(message: ChatMessage, *, may_view: bool) -> dict[str, Any]:
    return {
        "role": message.role,
        "content": message.content if may_view else None,
        "task_id": str(message.task_id) if message.task_id else None,
        "created_at": iso(message.created_at),
    }
