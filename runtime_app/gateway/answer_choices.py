"""The words of an answer of several choices, and which reading a request takes.

The choices of a stream come mixed, so each event is parsed, which the answers of one
choice are spared; `"n": 2` is rare. What is kept shows each choice under its index, and
no more characters in all than of one choice alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from django.conf import settings

from history_app.recorder import PREVIEW_CHARACTERS, PREVIEW_TAKEN
from runtime_app.gateway.answer_text import AnswerText
from runtime_app.gateway.schemas import Wish
from venom_site.lib.logging import without_secrets

_MOST_CHARACTERS = 1 << 20
_MOST_CHOICES = 128
_LEAST_SHARE = 25
_MOST_PARSED_BYTES = 4 << 20
_DATA = re.compile(rb"^data:[ ]?(\{.*\})\s*$", re.MULTILINE)


class AnswerChoices(AnswerText):
    """As `AnswerText`, of all choices: `most` characters of each are taken, `bound` of
    all together are shown."""

    def __init__(self, path: str, most: int, bound: int) -> None:
        super().__init__(path, most)
        self._bound = bound
        self._said: dict[int, str] = {}

    @property
    def is_full(self) -> bool:
        """Never: the last choice may begin when all others have ended."""
        return self._field is None

    def read_whole(self, answer: bytes) -> None:
        if self._field and len(answer) <= _MOST_PARSED_BYTES:
            self._take([answer])

    def text(self) -> str:
        self._read()
        said = {index: _whole(text) for index, text in sorted(self._said.items())}
        if len(said) < 2:
            return "".join(said.values())
        if sum(map(len, said.values())) > self._bound:
            # Masked before the cuts: the half of a secret no longer looks like one.
            said = {index: without_secrets(text) for index, text in said.items()}
        return _side_by_side(said, self._bound)

    def _read(self) -> None:
        raw, self._raw, self._size = b"".join(self._raw), [], 0
        self._take(_DATA.findall(raw))

    def _take(self, objects: list[bytes]) -> None:
        new: dict[int, list[str]] = {}
        for index, words in chain.from_iterable(map(_words_of, objects)):
            new.setdefault(index, []).append(words)
        for index, texts in new.items():
            known = self._said.get(index, "")
            self._said[index] = "".join([known, *texts])[: self._left]


def answer_text_for(wish: Wish, *, keeps_contents: bool) -> AnswerText:
    """As much of the answer as VENOM_STORE_PROMPTS keeps."""
    kept = settings.ENV.VENOM_STORE_PROMPTS
    if kept == "none" or not keeps_contents:
        return AnswerText(wish.path, 0)
    is_preview = kept == "preview"
    most = PREVIEW_TAKEN if is_preview else _MOST_CHARACTERS
    if wish.has_one_choice:
        return AnswerText(wish.path, most)
    bound = PREVIEW_CHARACTERS if is_preview else _MOST_CHARACTERS
    return AnswerChoices(wish.path, most, bound)


def _words_of(text: bytes) -> Iterator[tuple[int, str]]:
    """Index and new words of each choice in one event or one whole answer."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return
    choices = fields.get("choices") if isinstance(fields, dict) else None
    for place, choice in enumerate(choices if isinstance(choices, list) else ()):
        words = _said_in(choice)
        index = choice.get("index", place) if words else None
        if isinstance(index, int) and 0 <= index < _MOST_CHOICES:
            yield index, words


def _said_in(choice: Any) -> str:
    if not isinstance(choice, dict):
        return ""
    message = choice.get("delta") or choice.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    words = choice.get("text") if content is None else content
    return words if isinstance(words, str) else ""


def _whole(text: str) -> str:
    """Letters that came in two halves are one."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _side_by_side(said: dict[int, str], bound: int) -> str:
    """Each choice under its index. What a short one leaves of its share the longer ones
    get; of choices without a readable share the number is said."""
    shown = dict(list(said.items())[: max(1, bound // _LEAST_SHARE)])
    more = f"\n\n[+{len(said) - len(shown)}]" if len(shown) < len(said) else ""
    heads = {index: f"[{index}] " for index in shown}
    frame = sum(map(len, heads.values())) + 2 * (len(shown) - 1) + len(more)
    left, waiting = max(0, bound - frame), len(shown)
    for index in sorted(shown, key=lambda index: len(shown[index])):
        shown[index] = shown[index][: left // waiting]
        left, waiting = left - len(shown[index]), waiting - 1
    return "\n\n".join(heads[index] + text for index, text in shown.items()) + more
