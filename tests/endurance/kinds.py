"""The kinds of requests in a series: how each is asked and what must come of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.endurance.planted import FOREIGN, PROMPT

CHAT = "/v1/chat/completions"
OLLAMA, LAB = "gemma3:4b", "practice-7b"
MESSAGES = [{"role": "user", "content": PROMPT}]
HUGE = 20_000_000
Bytes = Callable[[dict[str, Any]], bytes]


# The family of an error, as the history names it.
CLASSES = {
    "model_not_found": "MODEL_NOT_FOUND",
    "upstream_auth": "AUTH_ERROR",
    "upstream_timeout": "TIMEOUT",
    "upstream_overloaded": "RATE_LIMIT",
    "upstream_offline": "OFFLINE",
    "upstream_malformed": "DEGRADED",
    "upstream_error": "DEGRADED",
    "upstream_cut": "DEGRADED",
}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """`status` is what the client sees, None where it leaves before an answer; `code`
    the error's, in the answer and in the row. `outcome` is the row's state, empty
    where there is none. `way` names a method of `client.Client`."""

    name: str
    body: dict[str, Any]
    status: int | None = 200
    outcome: str = "COMPLETED"
    code: str = ""
    fallback: bool = False
    path: str = CHAT
    key: str = "good"
    way: str = "whole"
    written: Bytes = field(default=lambda body: json.dumps(body).encode(), repr=False)

    @property
    def error_class(self) -> str:
        return CLASSES.get(self.code, "")

    @property
    def partial(self) -> bool:
        """An answer began and did not end."""
        return self.status == 200 and self.outcome != "COMPLETED"


def chat(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": MESSAGES, **more}


def streamed(model: str, **more: Any) -> dict[str, Any]:
    return chat(model, stream=True, **more)


def broken(fault: str, **more: Any) -> dict[str, Any]:
    """Asked of the practice server that plays this fault; nobody stands in for it."""
    return chat(f"lab/{LAB}", practice_faults={LAB: fault}, **more)


def failed(name: str, status: int, code: str, body: dict, **more: Any) -> Kind:
    given = {"outcome": "FAILED", **more}
    return Kind(name=name, status=status, code=code, body=body, **given)


def stranger(key: str) -> Kind:
    """Leaves no row: it has no owner."""
    body, name = chat("auto"), f"key-{key}"
    return failed(name, 401, "invalid_api_key", body, key=key, outcome="")


def left(name: str, status: int | None, way: str, body: dict) -> Kind:
    return Kind(name=name, status=status, way=way, body=body, outcome="CANCELLED")


def _huge(body: dict[str, Any]) -> bytes:
    image = "data:image/png;base64," + "A" * HUGE
    content = [{"type": "image_url", "image_url": {"url": image}}]
    message = {"role": "user", "content": content}
    return json.dumps({**body, "messages": [message]}).encode()


def _cut_json(_body: dict[str, Any]) -> bytes:
    return f'{{"model": "{FOREIGN}", "messages": ['.encode()


GOOD = (
    Kind(name="plain-ollama", body=chat(OLLAMA)),
    Kind(name="plain-lab", body=chat(f"lab/{LAB}")),
    Kind(name="stream-auto", body=streamed("auto")),
    Kind(name="stream-lab", body=streamed(f"lab/{LAB}")),
    Kind(name="text", path="/v1/completions", body={"model": OLLAMA, "prompt": PROMPT}),
    Kind(
        name="vectors", path="/v1/embeddings", body={"model": OLLAMA, "input": [PROMPT]}
    ),
)
OF_CALLERS = (
    *(stranger(key) for key in ("none", "wrong", "foreign", "expired", "revoked")),
    failed("no-scope", 403, "scope_missing", chat("auto"), key="reader"),
    failed("no-model", 404, "model_not_found", chat(FOREIGN)),
    failed("no-json", 400, "invalid_json", {}, written=_cut_json),
    failed("types", 400, "invalid_type", chat("auto", stream="yes")),
    failed("refused-types", 400, "bad_request", chat(OLLAMA, max_tokens="many")),
    failed("too-large", 413, "payload_too_large", {}, way="announced"),
    Kind(name="huge", body=chat(OLLAMA), written=_huge),
)
OF_SERVERS = (
    failed("401", 502, "upstream_auth", chat("quoting/m")),
    failed("403", 502, "upstream_auth", broken("status:403")),
    failed("404", 404, "model_not_found", broken("status:404")),
    failed("408", 504, "upstream_timeout", broken("status:408")),
    failed("429", 429, "upstream_overloaded", broken("status:429")),
    failed("500", 502, "upstream_error", broken("status:500")),
    failed("503", 429, "upstream_overloaded", broken("status:503")),
    failed("refused", 502, "upstream_offline", chat("refusing/m")),
    failed("dns", 502, "upstream_offline", chat("unnamed/m")),
    failed("no-sse", 502, "upstream_malformed", streamed("malformed/m")),
    failed("no-answer", 502, "upstream_malformed", broken("garbage")),
    failed("silent", 504, "upstream_timeout", broken("stall_before_first_byte")),
    failed(
        "silenced", 200, "upstream_timeout", broken("stall_mid_stream:3", stream=True)
    ),
    failed("cut", 200, "upstream_cut", broken("cut_mid_line:3", stream=True)),
    failed("cut-body", 502, "upstream_cut", broken("cut_after_tokens:3")),
    Kind(
        name="stood-in-for",
        body=chat("auto", practice_faults={OLLAMA: "status:500"}),
        fallback=True,
    ),
)
OF_READERS = (
    Kind(name="slow", way="slowly", body=streamed("long/m")),
    left("left-upload", None, "half", chat("auto")),
    left("left-plain", None, "leaving", broken("stall_before_first_byte")),
    left("left-early", None, "leaving", broken("stall_before_first_byte", stream=True)),
    left(
        "left-stream", 200, "leaving_midway", broken("stall_mid_stream:3", stream=True)
    ),
)


def series(count: int) -> list[Kind]:
    """One in a hundred of each fault, the rest as it should be."""
    kinds = (*OF_CALLERS, *OF_SERVERS, *OF_READERS)
    faults = [kind for kind in kinds for _ in range(count // 100)]
    good = [GOOD[place % len(GOOD)] for place in range(count - len(faults))]
    return faults + good
