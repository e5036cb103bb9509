"""The words of an answer, for the history: read from its raw bytes, cheaply.

A stream is not parsed event by event for this: its first bytes are kept as they are
and the words are picked out of them in one go, until there are enough.
"""

from __future__ import annotations

import json
import re

from runtime_app.gateway.schemas import CHAT, COMPLETIONS

_BATCH_BYTES = 32 << 10
# Within strings quotes are escaped, so the words of a model never look like a field.
_STRING = rb'\s*:\s*"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_DECODER = json.JSONDecoder(strict=False)
_FIELDS = {
    CHAT: re.compile(rb'"content"' + _STRING),
    COMPLETIONS: re.compile(rb'"text"' + _STRING),
}


class AnswerText:
    """The beginning of what the only choice says; `add()` takes whole events.

    `answer_choices.py` has the one for several, and `answer_text_for`.
    """

    def __init__(self, path: str, most: int) -> None:
        self._field = _FIELDS.get(path)
        self._left = most if self._field else 0
        self._raw: list[bytes] = []
        self._size = 0
        self._texts: list[str] = []

    @property
    def is_full(self) -> bool:
        return self._left <= 0

    def add(self, events: bytes) -> None:
        self._raw.append(events)
        self._size += len(events)
        if self._size >= _BATCH_BYTES:
            self._read()

    def read_whole(self, answer: bytes) -> None:
        """A plain answer: the first such field is the first choice's."""
        found = self._field.search(answer) if self._field and self._left else None
        if found:
            self._keep(_unescaped([found[1]]))

    def text(self) -> str:
        self._read()
        return "".join(self._texts)

    def _read(self) -> None:
        raw, self._raw, self._size = b"".join(self._raw), [], 0
        if self._field and self._left:
            self._keep(_unescaped(self._field.findall(raw)))

    def _keep(self, text: str) -> None:
        kept = text[: self._left]
        self._left -= len(kept)
        self._texts.append(kept)


def _unescaped(strings: list[bytes]) -> str:
    try:
        text = _DECODER.decode('"' + b"".join(strings).decode() + '"')
    except ValueError:
        return ""
    return str(text)
