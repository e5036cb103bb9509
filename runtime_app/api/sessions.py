"""Conversations: list, look, delete (docs/api.md)."""

from __future__ import annotations

from typing import Any

from ninja import Query, Router

from runtime_app.chat_schemas import (
    SessionAnswer,
    SessionDeleted,
    SessionList,
    SessionQuery,
    message_payload,
    session_payload,
)
from runtime_app.models import ChatSession
from runtime_app.services import sessions
from venom_site.lib.access import Principal
from venom_site.lib.htmx import VenomRequest

router = Router()


@router.get(
    "",
    response=SessionList,
    exclude_unset=True,
    summary="List conversations, latest first",
)
def list_sessions(request: VenomRequest, query: Query[SessionQuery]) -> dict[str, Any]:
    """One's own with `inference`; all with `read`, those of others without contents."""
    principal = request.principal
    page = sessions.list_sessions(principal, limit=query.limit, cursor=query.cursor)
    found = [_shown(row, principal) for row in page.items]
    return {
        "success": True,
        "sessions": found,
        "count": len(found),
        "next": page.next_cursor,
    }


@router.get(
    "/{session_id}",
    response=SessionAnswer,
    exclude_unset=True,
    summary="A conversation with its messages",
)
def get_session(request: VenomRequest, session_id: str) -> dict[str, Any]:
    """The newest 200 messages, in order."""
    principal = request.principal
    row = sessions.get_session(principal, session_id)
    may_view = sessions.may_view(row, principal)
    return {
        "success": True,
        **_shown(row, principal),
        "messages": [
            message_payload(message, may_view=may_view)
            for message in sessions.messages_of(row)
        ],
    }


@router.delete(
    "/{session_id}", response=SessionDeleted, summary="Remove one's conversation"
)
def delete_session(request: VenomRequest, session_id: str) -> dict[str, Any]:
    """With its messages and tasks; one that is being answered ends."""
    sessions.delete_session(request.principal, session_id)
    return {"session_id": session_id}


def _shown(row: ChatSession, principal: Principal | None) -> dict[str, Any]:
    return session_payload(row, may_view=sessions.may_view(row, principal))
