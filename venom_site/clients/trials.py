"""The wire of an acceptance run: small questions to a chat route, and how it answered.

Used by `runtime_app/services/trial_checks.py`; speaks OpenAI's words, which Ollama,
vLLM, llama-server and LM Studio share. Nothing is retried. Every call has a deadline
in all and is ended by `check`, which may use the database.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from venom_site.lib import http_patient
from venom_site.lib.errors import WireError

_NOT_ONE = "This does not answer as an OpenAI-compatible server does."
_DATA = b"data:"
_DONE = b"[DONE]"
MOST_BYTES = 1 << 20  # of an answer to a short question
_MOST_TOKENS = 10**6  # that anybody believes


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """One call of a tool; `arguments` is JSON as text, as it came."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One whole answer. `has_token` counts thoughts and calls too."""

    text: str
    finish_reason: str
    calls: tuple[Called, ...]
    has_token: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One streamed answer. Seconds are None where nothing came; `output_tokens` is the
    server's own count (`usage`), since one chunk may carry several tokens."""

    ttft_seconds: float | None
    rest_seconds: float | None
    output_tokens: int | None


class TrialClient:
    """One model at an address that ends in `/v1`."""

    def __init__(
        self, base_url: str, model: str, *, key: str, check: Callable[[], None]
    ) -> None:
        self._base_url, self._model = base_url, model
        self._key, self._check = key, check

    def ask(self, prompt: str, *, seconds: float, **fields: Any) -> Said:
        """One whole answer; `messages` among the fields replaces the prompt."""
        body = bytearray()

        def take(line: bytes) -> None:
            body.extend(line + b"\n")
            if len(body) > MOST_BYTES:
                raise WireError("The answer is larger than 1 MiB.", permanent=True)

        self._post(prompt, fields, take, seconds)
        return _said(_parsed(bytes(body)))

    def stream(self, prompt: str, *, seconds: float, **fields: Any) -> Timed:
        """The same in a stream, with the clock running."""
        watch = _Watch()
        usage = {"stream": True, "stream_options": {"include_usage": True}}
        self._post(prompt, usage | fields, watch.take, seconds)
        return watch.timed()

    def _post(
        self,
        prompt: str,
        fields: dict[str, Any],
        on_line: Callable[[bytes], None],
        seconds: float,
    ) -> None:
        ends = time.monotonic() + seconds

        def check() -> None:
            self._check()
            if time.monotonic() > ends:
                raise WireError(
                    f"No whole answer within {seconds:.0f} s.",
                    reason_code="FALLBACK_TIMEOUT",
                )

        asked = {"messages": [{"role": "user", "content": prompt}], **fields}
        http_patient.follow_lines(
            self._base_url,
            f"{self._base_url}/chat/completions",
            {"model": self._model, **asked},
            on_line=on_line,
            check=check,
            idle_seconds=seconds,
            key=self._key,
        )


class _Watch:
    """When the first token came, when the last, and how many the server counted."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._first: float | None = None
        self._last: float | None = None
        self._tokens: int | None = None

    def take(self, line: bytes) -> None:
        event = line.removeprefix(_DATA).strip()
        if not line.startswith(_DATA) or event == _DONE:
            return
        chunk = _parsed(event)
        if not isinstance(chunk, dict) or "error" in chunk:
            raise WireError("The answer broke off with an error.")
        self._tokens = _counted(chunk) or self._tokens
        if any(_has_token(choice, "delta") for choice in _choices(chunk)):
            self._last = time.monotonic()
            self._first = self._first or self._last

    def timed(self) -> Timed:
        if self._first is None or self._last is None:
            return Timed(ttft_seconds=None, rest_seconds=None, output_tokens=None)
        return Timed(
            ttft_seconds=self._first - self._began,
            rest_seconds=self._last - self._first,
            output_tokens=self._tokens,
        )


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise WireError(_NOT_ONE) from None


def _said(answer: Any) -> Said:
    choices = _choices(answer)
    if not choices:
        raise WireError(_NOT_ONE)
    message = choices[0].get("message")
    message = message if isinstance(message, dict) else {}
    return Said(
        text=_text(message.get("content")),
        finish_reason=_text(choices[0].get("finish_reason")),
        calls=tuple(_calls(message.get("tool_calls"))),
        has_token=bool(_counted(answer)) or _has_token(choices[0], "message"),
    )


def _choices(answer: Any) -> list[dict[str, Any]]:
    found = answer.get("choices") if isinstance(answer, dict) else None
    found = found if isinstance(found, list) else []
    return [choice for choice in found if isinstance(choice, dict)]


def _has_token(choice: dict[str, Any], part: str) -> bool:
    message = choice.get(part)
    names = ("content", "reasoning", "reasoning_content", "tool_calls")
    return isinstance(message, dict) and any(message.get(name) for name in names)


def _counted(answer: dict[str, Any]) -> int | None:
    usage = answer.get("usage")
    counted = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if not isinstance(counted, int) or isinstance(counted, bool):
        return None
    return counted if 0 <= counted <= _MOST_TOKENS else None


def _calls(found: Any) -> list[Called]:
    entries = found if isinstance(found, list) else []
    functions = [e.get("function") for e in entries if isinstance(e, dict)]
    return [
        Called(name=_text(each.get("name")), arguments=_text(each.get("arguments")))
        for each in functions
        if isinstance(each, dict)
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
