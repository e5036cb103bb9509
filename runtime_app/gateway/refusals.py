"""What the gateway says instead of an answer: a status, a code, a sentence.

The body is OpenAI's error object, so that official clients raise their own exception
classes. Sentences are English: programs read them. Pure values, no effects.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from history_app.recorder import RequestFields

_SOON = "5"  # seconds
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """`error_class` is the family of docs/api.md for failures of an upstream;
    `reason_code` says why no server was asked, where that has one."""

    status: int
    code: str
    message: str
    param: str | None = None
    error_class: str = ""
    reason_code: str = ""
    retryable: bool = False
    retry_after: str | None = None
    allow: str | None = None

    def error(self) -> dict[str, Any]:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {
            "error": {
                "message": self.message,
                "type": _TYPES.get(self.status, kind),
                "param": self.param,
                "code": self.code,
            }
        }

    def body(self) -> bytes:
        return json.dumps(self.error()).encode()

    def event(self) -> bytes:
        """The same as a server-sent event: the last one of an answer that was cut."""
        return b"data: " + self.body() + b"\n\n"

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Only those that the status brings with it."""
        found = []
        if self.status == 401:
            found.append((b"www-authenticate", b'Bearer realm="venom"'))
        if self.retry_after:
            found.append(
                (b"retry-after", self.retry_after.encode("latin-1", "replace"))
            )
        if self.allow:
            found.append((b"allow", self.allow.encode()))
        if not self.retryable:
            # OpenAI's own clients repeat 409 and 5xx unless they are told not to.
            found.append((b"x-should-retry", b"false"))
        return found


class Refused(Exception):
    """Carries a refusal out of reading and checking a request."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


def bad_request(
    message: str, *, param: str | None = None, code: str = "bad_request"
) -> Refused:
    return Refused(Refusal(status=400, code=code, message=message, param=param))


def starting(server: str, model: str) -> Refusal:
    """The first choice did not become ready while the request was held for it."""
    return Refusal(
        status=503,
        code="runtime_starting",
        reason_code="RUNTIME_STARTING",
        retryable=True,
        retry_after=_SOON,
        message=f"{server} is not ready to answer with “{model}” yet. "
        "Send the request again in a moment.",
    )


def history_fields(refusal: Refusal) -> RequestFields:
    """What the history keeps of it."""
    fields: RequestFields = {
        "error_code": refusal.code,
        "error_class": refusal.error_class,
        "error_message": refusal.message,
        "error_retryable": refusal.retryable,
    }
    if refusal.reason_code:
        fields["reason_code"] = refusal.reason_code
    return fields
