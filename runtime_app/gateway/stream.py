"""Passing a server-sent event stream on, and learning from it what the history needs.

Whole events go on byte for byte as they come; half an event waits for its end, so that
an answer that is cut can be closed with an error event. Events are parsed only until
the first token and where they look special: parsing each would cost more than all the
rest of the gateway. Pure: bytes in, bytes out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runtime_app.gateway.answer_text import AnswerText

MOST_EVENT_BYTES = 8 << 20
_FRAMES_MEASURED = 2
_MARKS = (b"\n\n", b"\r\n\r\n")
# `"usage":null` in every chunk (OpenAI) is nothing special.
_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_ABORT = re.compile(rb'"finish_reason"\s*:\s*"abort"')
_FINISH = re.compile(rb'"finish_reason"\s*:\s*"')
_EVENT = re.compile(rb".*?(?:\r\n\r\n|\n\n)", re.DOTALL)
_DATA = re.compile(rb"^data:[ ]?(.*?)\r?$", re.MULTILINE)
_decoder = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Usage:
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None = None
    reasoning_tokens: int | None = None
    is_estimated: bool = False


_NOTHING = Usage(None, None)


class MalformedStream(Exception):
    """An event without an end, or a first one that is no JSON."""


class EventFilter:
    """One stream. `feed()` returns what the client gets of a piece.

    A stopped vLLM ends a stream with `finish_reason: "abort"` and `[DONE]`; both are
    withheld and `failure` is set, because `[DONE]` would call the answer whole.
    """

    def __init__(self, *, wants_usage: bool, text: AnswerText | None = None) -> None:
        self.usage: Usage | None = None
        self.has_token = False
        self.is_done = False
        self.failure = ""
        self.error_sent = b""  # the server's own error event, as JSON
        self._wants_usage = wants_usage
        self._text = text
        self._pending = b""
        self._last = b""
        self._bytes = 0
        self._events = 0
        self._frames: list[int] = []
        self._characters = 0

    def feed(self, piece: bytes) -> bytes:
        whole = self._whole_events(piece)
        if not whole:
            return b""
        if len(self._frames) < _FRAMES_MEASURED:
            self._measure(whole)
        else:
            self._bytes += len(whole)
            self._events += whole.count(b"\n\n") or whole.count(b"\r\n\r\n")
        if self._text is not None and not self._text.is_full:
            self._text.add(whole)
        self._last = whole
        return self._filtered(whole) if self._is_special(whole) else whole

    @property
    def is_complete(self) -> bool:
        """`[DONE]` came, or at least a finish_reason from a server without it."""
        if self.failure:
            return False
        return self.is_done or bool(_FINISH.search(self._last))

    def estimated_characters(self) -> int:
        """Characters of the answer: those of the measured events, and of the others
        what is left when the frame of JSON around each is taken away."""
        frame = min(self._frames, default=0)
        return self._characters + max(0, self._bytes - self._events * frame)

    def _whole_events(self, piece: bytes) -> bytes:
        if not self._pending and piece.endswith(_MARKS):
            return piece
        text = self._pending + piece
        cut = _end_of_last_event(text)
        self._pending = text[cut:]
        if len(self._pending) > MOST_EVENT_BYTES:
            raise MalformedStream
        return text[:cut]

    def _is_special(self, whole: bytes) -> bool:
        return (
            bool(self.failure)
            or b"[DONE]" in whole
            or b'{"error"' in whole
            or (b'"usage"' in whole and _USAGE.search(whole) is not None)
            or (b'"abort"' in whole and _ABORT.search(whole) is not None)
        )

    def _filtered(self, whole: bytes) -> bytes:
        return b"".join(event for event in _events(whole) if self._goes_on(event))

    def _goes_on(self, event: bytes) -> bool:
        text = _data_of(event)
        if text.strip() == b"[DONE]":
            self.is_done = True
            return not self.failure
        fields = _object(text)
        if fields is None:
            return not self.failure
        usage = usage_of(fields)
        if usage is not None:
            self.usage = usage
            if not fields.get("choices") and not self._wants_usage:
                return False
        if "error" in fields:
            self.failure, self.error_sent = "error", text
            return True
        if _ABORT.search(text):
            self.failure = self.failure or "abort"
        return not self.failure

    def _measure(self, whole: bytes) -> None:
        """Parse the first events: is there a token, and how long is its frame?
        Two are measured, because an Ollama's first token also carries the role."""
        for event in _events(whole):
            text = _data_of(event)
            fields = _object(text)
            if fields is None and text.strip() not in {b"", b"[DONE]"}:
                raise MalformedStream
            said = _said(fields)
            if said:
                self.has_token = True
                self._characters += len(said)
                self._frames.append(len(event) - len(said.encode("utf-8", "replace")))


def _end_of_last_event(text: bytes) -> int:
    ends = (text.rfind(mark) + len(mark) for mark in _MARKS if mark in text)
    return max(ends, default=0)


def _events(whole: bytes) -> Iterator[bytes]:
    return (match[0] for match in _EVENT.finditer(whole))


def _data_of(event: bytes) -> bytes:
    return b"\n".join(_DATA.findall(event))


def _object(text: bytes) -> dict[str, Any] | None:
    if not text.startswith(b"{"):
        return None
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def said_in(answer: bytes) -> str:
    """What a whole answer says; for those that come without a usage block."""
    return _said(_object(answer.strip()))


def _said(fields: dict[str, Any] | None) -> str:
    """What the first choice says: text, thought or the call of a tool."""
    choices = fields.get("choices") if fields else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return ""
    if isinstance(choices[0].get("text"), str):
        return str(choices[0]["text"])
    delta = choices[0].get("delta") or choices[0].get("message")
    if not isinstance(delta, dict):
        return ""
    for name in ("content", "reasoning", "reasoning_content"):
        if isinstance(delta.get(name), str) and delta[name]:
            return str(delta[name])
    return json.dumps(delta["tool_calls"]) if delta.get("tool_calls") else ""


def usage_of(fields: dict[str, Any]) -> Usage | None:
    usage = fields.get("usage")
    if not isinstance(usage, dict):
        return None
    found = Usage(
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
        _detail(usage.get("prompt_tokens_details"), "cached_tokens"),
        _detail(usage.get("completion_tokens_details"), "reasoning_tokens"),
    )
    return None if found == _NOTHING else found


def _detail(details: Any, name: str) -> int | None:
    return _count(details.get(name)) if isinstance(details, dict) else None


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return value if is_count and 0 <= value < 2**31 else None


def usage_in(answer: bytes) -> Usage | None:
    """The usage block of a whole answer, without parsing the rest of it: an answer of
    embeddings has megabytes. Within strings quotes are escaped: none is found there.
    """
    found = list(_USAGE.finditer(answer))
    if not found:
        return None
    begin = found[-1].end() - 1
    block = answer[begin : begin + 4096]
    try:
        usage, _end = _decoder.raw_decode(block.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return usage_of({"usage": usage})


def is_json_object(answer: bytes) -> bool:
    """Whether it can be one, by its ends; what lies between is the client's to read."""
    text = answer.strip()
    return text.startswith(b"{") and text.endswith(b"}")


def was_aborted(answer: bytes) -> bool:
    return b'"abort"' in answer and _ABORT.search(answer) is not None


def tokens_of(characters: int) -> int:
    """Tokens estimated from characters; four of them make about one."""
    return -(-characters // 4)
