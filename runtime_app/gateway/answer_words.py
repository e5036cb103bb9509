"""The words of an answer of the gateway, for who reads it as text: tasks.

Fed with the bytes of an event stream as they come, or with a whole JSON body; knows
at the end whether the answer was whole and, if not, what was said instead. Pure.
"""

from __future__ import annotations

import json
from typing import Any


class AnswerWords:
    """`feed()` returns the new words of a stream. Thoughts of a model are left out."""

    def __init__(self, *, is_stream: bool) -> None:
        self.is_complete = False
        self.error: dict[str, Any] | None = None
        self._is_stream = is_stream
        self._rest = b""

    def feed(self, piece: bytes) -> str:
        text = self._rest + piece
        if not self._is_stream:
            self._rest = text
            return ""
        *lines, self._rest = text.split(b"\n")
        return "".join(self._said(line.strip()) for line in lines)

    def end(self) -> str:
        """The words of what came without a stream."""
        if self._is_stream or not self._rest:
            return ""
        fields = self._object(self._rest)
        self.is_complete = bool(fields) and self.error is None
        return _content(fields, "message")

    def _said(self, line: bytes) -> str:
        if not line.startswith(b"data:"):
            return ""
        text = line[len(b"data:") :].strip()
        if text == b"[DONE]":
            self.is_complete = True
            return ""
        fields = self._object(text)
        # Some servers end a stream with a finish_reason and no [DONE].
        if _choice(fields).get("finish_reason"):
            self.is_complete = True
        return _content(fields, "delta")

    def _object(self, text: bytes) -> dict[str, Any]:
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            return {}
        if not isinstance(fields, dict):
            return {}
        if isinstance(fields.get("error"), dict):
            self.error = fields["error"]
        return fields


def _choice(fields: dict[str, Any]) -> dict[str, Any]:
    choices = fields.get("choices")
    if not isinstance(choices, list) or not choices:
        return {}
    return choices[0] if isinstance(choices[0], dict) else {}


def _content(fields: dict[str, Any], name: str) -> str:
    message = _choice(fields).get(name)
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, str):
        return ""
    # PostgreSQL takes no NUL, and half a character (a lone surrogate) cannot be sent.
    return content.replace("\0", "").encode("utf-8", "replace").decode()
