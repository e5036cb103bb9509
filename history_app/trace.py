"""The shapes of `RequestRecord.trace`: how a request came to its answer.

Written by who serves requests, read by the API and the pages; plain JSON values.
"""

from __future__ import annotations

from typing import Literal, TypedDict

VERSION = 1
Verdict = Literal["chosen", "next", "passed_over"]


class Candidate(TypedDict):
    """A server that could have answered. `reason` says why it was passed over, as a
    reason code, or why it was taken; `detail` is a sentence."""

    runtime: str
    provider: str
    model: str
    verdict: Verdict
    reason: str
    detail: str


class Hop(TypedDict):
    """A server that was asked. `status` is its HTTP status, null without an answer."""

    runtime: str
    provider: str
    model: str
    endpoint: str
    status: int | None
    duration_ms: float
    reason_code: str
    error_code: str


class Step(TypedDict):
    """Something that happened on the way; `timestamp` is ISO, UTC."""

    component: str
    action: str
    timestamp: str
    status: Literal["ok", "error", "note"]
    details: str


class Trace(TypedDict):
    v: int
    candidates: list[Candidate]
    hops: list[Hop]
    steps: list[Step]
    notes: list[str]
