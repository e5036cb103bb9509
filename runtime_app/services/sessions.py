"""Conversations: begun by a first message, kept across restarts, removed on wish.

A conversation belongs to who began it. Readers see those of others without contents.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from history_app import audit
from history_app.choices import RequestStatus
from runtime_app.choices import LlmStatus, MessageRole
from runtime_app.models import Activation, ChatMessage, ChatSession, Runtime, Task
from runtime_app.querysets import ChatSessionQuerySet, TaskQuerySet
from runtime_app.services.active import fields_of
from venom_site.lib import cursors
from venom_site.lib.access import Principal, Scope, require
from venom_site.lib.errors import NotFound, Unauthorized
from venom_site.lib.ids import uuid7
from venom_site.lib.units import iso

TITLE_CHARACTERS = 60
# What of a conversation goes to the model again: the newest turns, whole ones only.
MOST_MESSAGES = 40
MOST_CHARACTERS = 24_000

Turn = dict[str, str]
Rows = TypeVar("Rows", ChatSessionQuerySet, TaskQuerySet)


@dataclass(frozen=True, slots=True)
class Page:
    items: list[ChatSession]
    next_cursor: str | None


def owner_of(principal: Principal) -> str:
    return f"{principal.kind}:{principal.identifier}"


def begin(identifier: str, principal: Principal, *, title: str) -> ChatSession:
    """The caller's conversation of this name, made when there is none; without a name
    a new one. For the caller's transaction."""
    pk = uuid7()
    session, is_new = ChatSession.objects.get_or_create(
        owner=owner_of(principal),
        identifier=identifier or str(pk),
        defaults={"id": pk, "title": _first_line(title)},
    )
    if not is_new:
        session.updated_at = timezone.now()
        session.title = session.title or _first_line(title)
        session.save(update_fields=["updated_at", "title"])
    return session


def _first_line(text: str) -> str:
    return " ".join(text[: 4 * TITLE_CHARACTERS].split())[:TITLE_CHARACTERS]


def turns_before(task: Task) -> list[Turn]:
    """What was said and answered before this question, oldest first, as much of it as
    a model is shown again. Only whole turns: some models refuse two questions in a row.
    """
    rows = ChatMessage.objects.filter(
        session=task.session_id, task__status=RequestStatus.COMPLETED
    ).exclude(task__llm_status=LlmStatus.SKIPPED)
    newest = rows.order_by("-task__created_at", "-task_id", "-created_at", "-id")
    found: list[Turn] = []
    left = MOST_CHARACTERS
    for message in newest[:MOST_MESSAGES]:
        left -= len(message.content)
        if left < 0:
            break
        found.append({"role": message.role, "content": message.content})
    if found and found[-1]["role"] != MessageRole.USER:
        found.pop()  # the question to it did not fit any more
    return found[::-1]


def remember(task: Task, *, role: MessageRole, content: str) -> None:
    """A message of a question whose contents may be kept."""
    if task.store and content:
        ChatMessage.objects.create(
            session_id=task.session_id, task=task, role=role, content=content
        )


def note_answer(task: Task, *, moment: datetime) -> None:
    """Write down in the conversation's context which runtime answered, or failed."""
    failed = task.status != RequestStatus.COMPLETED
    changes = _runtime_fields(task)
    changes["last_error_at" if failed else "last_success_at"] = iso(moment)
    session = ChatSession.objects.select_for_update().filter(pk=task.session_id).first()
    if session is not None:
        session.context = merged(session.context, {"llm_runtime": changes})
        session.updated_at = moment
        session.save(update_fields=["context", "updated_at"])


def merged(context: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`context` with the changes, one level deep; None takes a key away."""
    result = dict(context)
    for key, value in changes.items():
        known = result.get(key)
        if isinstance(value, dict) and isinstance(known, dict):
            value = {**known, **value}
        result[key] = value
    return {key: value for key, value in result.items() if value is not None}


def _runtime_fields(task: Task) -> dict[str, Any]:
    """The active-runtime fields of docs/api.md for the server that answered this."""
    rows = Runtime.objects.of_profile().select_related("node")
    for row in rows:
        if (row.provider, row.openai_url) == (task.llm_provider, task.llm_endpoint):
            model = task.llm_model
            return fields_of(
                Activation(
                    node=row.node, runtime=row, model_name=model, served_name=model
                )
            )
    return {}


def reachable(rows: Rows, principal: Principal | None, *, others: Scope) -> Rows:
    """One's own with `inference`, everybody's with the scope `others`."""
    if principal is not None and principal.has(others):
        return rows
    return rows.of_owner(owner_of(require(principal, Scope.INFERENCE)))


def list_sessions(
    principal: Principal | None, *, limit: int, cursor: str | None
) -> Page:
    """The latest used first; raises `BadRequest` for a bad cursor."""
    rows = reachable(ChatSession.objects.all(), principal, others=Scope.READ)
    if cursor:
        place = cursors.decode(cursor)
        rows = rows.older_than(place.created_at, place.pk)
    latest = rows.with_counts().order_by("-updated_at", "-pk")
    found = list(latest[: limit + 1])
    items, last = found[:limit], found[limit - 1] if len(found) > limit else None
    return Page(items, cursors.encode(last.updated_at, last.pk) if last else None)


def get_session(principal: Principal | None, identifier: str) -> ChatSession:
    """By its name, the caller's own before others'; raises `NotFound`."""
    rows = reachable(ChatSession.objects.all(), principal, others=Scope.READ)
    return _named(rows.with_counts(), principal, identifier)


def _named(
    rows: ChatSessionQuerySet, principal: Principal | None, identifier: str
) -> ChatSession:
    named = rows.filter(identifier=identifier[:65])
    mine = named.of_owner(owner_of(principal)) if principal else named.none()
    found = mine.first() or named.first()
    if found is None:
        raise NotFound(_("There is no such conversation, or it is not yours to see."))
    return found


def may_view(session: ChatSession, principal: Principal | None) -> bool:
    """Who began it sees the contents; others where they may see those of requests."""
    if principal is None:
        return False
    return principal.may_view_payload or session.owner == owner_of(principal)


def messages_of(session: ChatSession, *, most: int = 200) -> list[ChatMessage]:
    """The newest, oldest of them first."""
    rows = session.messages.order_by("-created_at", "-id")[:most]
    return list(rows)[::-1]


def delete_session(principal: Principal | None, identifier: str) -> None:
    """Remove a conversation with its messages and tasks: one's own, or with `admin`
    anybody's."""
    if principal is None:
        raise Unauthorized
    rows = reachable(ChatSession.objects.all(), principal, others=Scope.ADMIN)
    with transaction.atomic():
        row = _named(rows, principal, identifier)
        audit.record(
            principal, "session.delete", "session", row.pk, object_name=row.identifier
        )
        row.delete()
