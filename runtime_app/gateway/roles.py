"""Messages for a model whose template knows only user and assistant, in turns.

Pure; called by `params.py`. No text is ever lost, and its order stays: a system message
goes into the user message after it, or becomes one. What cannot be read (a role that
is no text, contents of an odd type) goes on untouched: its server refuses it in its
own words.
"""

from __future__ import annotations

from typing import Any

Message = dict[str, Any]
Content = str | list[Any] | None

SYSTEM_ROLES = frozenset({"system", "developer"})
_PLAIN_KEYS = frozenset({"role", "content", "name"})


def without_system(messages: list[Message]) -> tuple[list[Message], list[str]]:
    """The messages and what was done to them; the same list when nothing was.

    `Instructions: <system>`, a blank line, `User: <user>` is the form docs/api.md
    promises. Templates such as Gemma's also refuse two turns of one role in a row,
    which then are one.
    """
    if not all(map(_is_readable, messages)):
        return messages, []
    folded = _folded(messages)
    turns = _in_turns(folded)
    notes = []
    if any(message["role"] in SYSTEM_ROLES for message in messages):
        notes.append(
            "The system message went into a user message: the model has no system role."
        )
    if len(turns) < len(folded):
        notes.append("Messages of one role in a row were joined: roles must alternate.")
    return (turns, notes) if notes else (messages, notes)


def _is_readable(message: Message) -> bool:
    is_content = isinstance(message.get("content"), str | list | None)
    return isinstance(message.get("role"), str) and is_content


def _folded(messages: list[Message]) -> list[Message]:
    found: list[Message] = []
    waiting: Content = None
    for message in messages:
        if message["role"] in SYSTEM_ROLES:
            waiting = _joined(waiting, message.get("content"))
        elif waiting and message["role"] == "user":
            asked = _marked("User: ", message.get("content"))
            content = _joined(_marked("Instructions: ", waiting), asked)
            found.append({**message, "content": content})
            waiting = None
        else:
            found += _as_user(waiting)
            found.append(message)
            waiting = None
    found += _as_user(waiting)
    return found or [{"role": "user", "content": ""}]


def _as_user(waiting: Content) -> list[Message]:
    """Instructions that no question follows are a turn of their own."""
    if not waiting:
        return []
    return [{"role": "user", "content": _marked("Instructions: ", waiting)}]


def _in_turns(messages: list[Message]) -> list[Message]:
    found: list[Message] = []
    for message in messages:
        last = found[-1] if found else None
        if last and last["role"] == message["role"] and _may_join(last, message):
            content = _joined(last.get("content"), message.get("content"))
            found[-1] = {**message, **last, "content": content}
        else:
            found.append(message)
    return found


def _may_join(*messages: Message) -> bool:
    """Calls of tools and their answers stay apart; a user's turn is only contents."""
    return all(m["role"] == "user" or _is_plain(m) for m in messages)


def _is_plain(message: Message) -> bool:
    is_said = all(key in _PLAIN_KEYS or not value for key, value in message.items())
    return message["role"] == "assistant" and is_said


def _joined(first: Content, second: Content) -> Content:
    """Both, a blank line between their texts; parts such as images stay parts."""
    if not first or not second:
        return first or second
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    left, right = _parts(first), _parts(second)
    if _is_text(left[-1]) and _is_text(right[0]):
        text = f"{left[-1]['text']}\n\n{right[0]['text']}"
        return [*left[:-1], {**left[-1], "text": text}, *right[1:]]
    return [*left, *right]


def _marked(mark: str, content: Content) -> Content:
    """`mark` before its first text; contents without any text stay as they are."""
    if not content:
        return content
    if isinstance(content, str):
        return mark + content
    parts = list(content)
    for place, part in enumerate(parts):
        if _is_text(part):
            parts[place] = {**part, "text": mark + part["text"]}
            break
    return parts


def _parts(content: str | list[Any]) -> list[Any]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}]


def _is_text(part: Any) -> bool:
    is_part = isinstance(part, dict) and part.get("type") == "text"
    return is_part and isinstance(part.get("text"), str)
