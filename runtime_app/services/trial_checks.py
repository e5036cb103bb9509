"""What an acceptance run tries, one function for each check.

Each asks the server once or twice and says what that proves. `None` is «could not be
tried»: no answer in time, cut before the end, an error that is not about the question.
Sentences are English, they are kept with the evidence.

Facts: vLLM 0.32 refuses a system role or tools with 400 and the reason, and promises
valid JSON only with `finish_reason` "stop"; a call of a tool cut by `max_tokens` comes
back as plain words; llama-server takes tools from a template that knows none and
answers in words.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from venom_site.clients.trials import Said, TrialClient
from venom_site.lib.errors import WireError

# Statuses by which a server says that it does not do what was asked.
_REFUSALS = frozenset({400, 405, 415, 422, 501})
_CUT = "length"
_SHORT, _LONG, _WORDY = 8, 64, 512  # output tokens
_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The present weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one check proved, and in how many seconds."""

    ok: bool | None
    words: str
    seconds: float = 0
    figures: dict[str, float] = field(default_factory=dict)

    def kept(self, name: str) -> dict[str, Any]:
        """As `Trial.checks` holds it."""
        return {
            "name": name,
            "ok": self.ok,
            "words": self.words[:300],
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds: for the first answer, which may have to load the model, and for every
    other one."""

    first: float
    each: float


Check = Callable[[TrialClient, Limits], Outcome]


def tried(check: Check, client: TrialClient, limits: Limits) -> Outcome:
    """Its outcome, whatever the wire did."""
    began = time.monotonic()
    try:
        found = check(client, limits)
    except WireError as error:
        is_refusal = error.status in _REFUSALS
        found = Outcome(ok=False if is_refusal else None, words=str(error))
    return replace(
        found, words=_storable(found.words), seconds=time.monotonic() - began
    )


def _storable(words: str) -> str:
    """They may quote a server: no NUL, no half characters."""
    return words.encode("utf-8", "ignore").decode().replace("\0", "")


def first_token(client: TrialClient, limits: Limits) -> Outcome:
    """The model is loaded first, so that only the answer is timed."""
    if not client.ask("Hi", seconds=limits.first, max_tokens=1).has_token:
        return Outcome(ok=False, words="It answered, but without a single token.")
    timed = client.stream(
        "Name a colour.", seconds=limits.each, max_tokens=_SHORT, temperature=0
    )
    if timed.ttft_seconds is None:
        return Outcome(ok=False, words="Its stream ended without a single token.")
    return Outcome(
        ok=True,
        words=f"The first token came after {timed.ttft_seconds:.2f} s.",
        figures={"ttft_seconds": round(timed.ttft_seconds, 4)},
    )


def speed(client: TrialClient, limits: Limits) -> Outcome:
    """By the server's own count of tokens, from the first one to the last."""
    timed = client.stream(
        "Write the numbers from one to thirty as words.",
        seconds=limits.each,
        max_tokens=_LONG,
        temperature=0,
    )
    tokens, seconds = timed.output_tokens, timed.rest_seconds
    if tokens is None:
        return Outcome(
            ok=None, words="The server counted no tokens, and chunks are none."
        )
    if tokens < 2 or not seconds:
        return Outcome(ok=None, words="The answer was too short to be timed.")
    rate = (tokens - 1) / seconds
    return Outcome(
        ok=True,
        words=f"{tokens} tokens, {rate:.1f} per second.",
        figures={"output_tokens_per_second": round(rate, 2)},
    )


def system_role(client: TrialClient, limits: Limits) -> Outcome:
    messages = [
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": "Hi"},
    ]
    said = client.ask("", seconds=limits.each, messages=messages, max_tokens=_SHORT)
    if not said.has_token:
        return Outcome(ok=None, words="It answered, but without a single token.")
    return Outcome(ok=True, words="A system message was accepted.")


def json_mode(client: TrialClient, limits: Limits) -> Outcome:
    said = client.ask(
        'Answer with a JSON object like {"ok": true} and nothing else.',
        seconds=limits.each,
        response_format={"type": "json_object"},
        max_tokens=_WORDY,
        temperature=0,
    )
    if said.finish_reason == _CUT:
        return Outcome(ok=None, words=f"The answer was cut after {_WORDY} tokens.")
    if not isinstance(_parsed(said.text), dict):
        return Outcome(ok=False, words="The answer was no valid JSON object.")
    return Outcome(ok=True, words="The answer was a valid JSON object.")


def tool_call(client: TrialClient, limits: Limits) -> Outcome:
    said = client.ask(
        "What is the weather in Kraków? Use the tool.",
        seconds=limits.each,
        tools=[_TOOL],
        max_tokens=_WORDY,
        temperature=0,
    )
    return _judged_call(said)


def _judged_call(said: Said) -> Outcome:
    if not said.calls and said.finish_reason == _CUT:
        return Outcome(ok=None, words=f"The answer was cut after {_WORDY} tokens.")
    if not said.calls:
        return Outcome(ok=False, words="It answered in words and called no tool.")
    call = said.calls[0]
    if call.name != _TOOL["function"]["name"]:  # type: ignore[index]
        return Outcome(ok=False, words=f"It called {call.name[:60]!r}, which is none.")
    if not isinstance(_parsed(call.arguments), dict):
        return Outcome(ok=False, words="It called the tool with arguments in no JSON.")
    return Outcome(ok=True, words="It called the tool with valid arguments.")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


# In the order of the operation's steps.
CHECKS: dict[str, Check] = {
    "first_token": first_token,
    "speed": speed,
    "system_role": system_role,
    "json_mode": json_mode,
    "tool_call": tool_call,
}
# What a check proves of the model, by the names of its capabilities.
PROVES = {
    "first_token": "supports_chat",
    "system_role": "supports_system_role",
    "tool_call": "supports_function_calling",
}
