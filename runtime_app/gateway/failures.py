"""What an upstream's failure means to the client: the table of docs/api.md, pure.

Every sentence names the server, so that the reader knows where to look. An upstream's
own words are quoted, cut and without credentials.
"""

from __future__ import annotations

import json
from dataclasses import replace

from runtime_app.gateway.names import NOBODY, Route
from runtime_app.gateway.refusals import Refusal
from runtime_app.gateway.upstream import without_credentials
from runtime_app.gateway.watch import Ended
from venom_site.lib.logging import without_secrets

# The client's own mistake: the server's answer goes on untouched.
PASSED_ON = frozenset({400, 422})
_LONGEST_QUOTE = 300


def of_connection(kind: str, route: Route, connect_seconds: float) -> Refusal:
    """No byte of an answer came. `kind` as in `UpstreamFailed`."""
    where = _where(route)
    if kind == "offline":
        return Refusal(
            status=502,
            code="upstream_offline",
            error_class="OFFLINE",
            retryable=True,
            message=f"{where} does not accept connections. Is the server running?",
        )
    if kind == "timeout":
        return _too_late(f"{where} did not accept a connection", connect_seconds)
    words = {
        "malformed": "answered with something that is not an answer",
        "closed": "closed the connection before it answered",
    }
    return _degraded(f"upstream_{kind}", f"{where} {words[kind]}.")


def of_refused_body(status: int, body: bytes, route: Route) -> Refusal:
    """The client's own mistake, in the server's words; for the history only."""
    return Refusal(
        status=status,
        code="bad_request",
        message=f"{_where(route)} answered {status}{_quoted(body, route)}",
    )


def of_status(
    status: int, body: bytes, retry_after: str | None, route: Route
) -> Refusal:
    """The refusal for an error status, with the server's own words quoted."""
    where, said = _where(route), _quoted(body, route)
    message = f"{where} answered {status}{said}"
    if status in {401, 403}:
        return Refusal(
            status=502,
            code="upstream_auth",
            error_class="AUTH_ERROR",
            message=f"{where} refused the key that Venom has for it{said}",
        )
    if status == 408:
        return _timeout(message)
    if status == 404:
        return Refusal(
            status=404,
            code="model_not_found",
            param="model",
            error_class="MODEL_NOT_FOUND",
            message=message,
        )
    if status == 429 or (status == 503 and _is_overload(body)):
        return Refusal(
            status=429,
            code="upstream_overloaded",
            error_class="RATE_LIMIT",
            retryable=True,
            retry_after=retry_after or "1",
            message=message,
        )
    return _degraded("upstream_error", message)


def of_deadline(ended: Ended, seconds: float, route: Route) -> Refusal:
    words = {
        Ended.FIRST_BYTE: "sent no first byte",
        Ended.IDLE: "fell silent in the middle of its answer",
        Ended.TOTAL: "did not finish its answer",
    }
    refusal = _too_late(f"{_where(route)} {words[ended]}", seconds)
    # The same answer would take as long again, and official clients ask three times.
    return replace(refusal, retryable=ended is not Ended.TOTAL)


def cut(route: Route) -> Refusal:
    return _degraded(
        "upstream_cut", f"{_where(route)} ended its answer before it was complete."
    )


def aborted(route: Route) -> Refusal:
    return _degraded(
        "upstream_aborted", f"{_where(route)} was stopped while it was answering."
    )


def malformed(route: Route) -> Refusal:
    return _degraded(
        "upstream_malformed",
        f"{_where(route)} answered with something that is no JSON.",
    )


def reported(event: bytes, route: Route) -> Refusal:
    """The server sent an error event in a stream that had begun well."""
    said = _quoted(event, route) or "."
    return _degraded("upstream_error", f"{_where(route)} reported an error{said}")


def all_failed(first: Refusal, others: list[tuple[Route, Refusal]]) -> Refusal:
    """The first choice's failure, with who else was asked in vain."""
    if not others:
        return first
    tried = ", ".join(f"{route.runtime.name} ({why.code})" for route, why in others)
    message = f"{first.message} Asked in vain instead: {tried}."
    return replace(first, reason_code=NOBODY, message=message)


def switched(route: Route) -> Refusal:
    """The model leaves its server; the answer had its time to end (docs/api.md)."""
    return Refusal(
        status=503,
        code="RUNTIME_SWITCHED",
        error_class="RUNTIME_SWITCHED",
        retryable=True,
        retry_after="1",
        message=f"{_where(route)} is giving up {route.served_name} for another model. "
        "Send the request again.",
    )


def internal() -> Refusal:
    return Refusal(
        status=500,
        code="internal_error",
        message="Venom made a mistake of its own; its log has the request's id.",
    )


def stopping() -> Refusal:
    return Refusal(
        status=503,
        code="gateway_stopping",
        retryable=True,
        message="Venom is stopping; the answer is cut. Send the request again.",
    )


def _where(route: Route) -> str:
    address = without_credentials(route.runtime.endpoint)
    return f"{route.runtime.display_name} at {address}"


def _degraded(code: str, message: str) -> Refusal:
    return Refusal(
        status=502,
        code=code,
        error_class="DEGRADED",
        retryable=True,
        message=message,
    )


def _too_late(what: str, seconds: float) -> Refusal:
    return _timeout(f"{what} within {seconds:g} s.")


def _timeout(message: str) -> Refusal:
    return Refusal(
        status=504,
        code="upstream_timeout",
        error_class="TIMEOUT",
        retryable=True,
        message=message,
    )


def _is_overload(body: bytes) -> bool:
    """Ollama's full queue is a 503 with a sentence. A dead vLLM engine sends no body,
    a llama-server that still loads says so: neither is a matter of load."""
    said = _said(body)
    return bool(said) and "loading model" not in said.lower()


def _quoted(body: bytes, route: Route) -> str:
    """`: “the server's words”`, or nothing when it said nothing readable. A server may
    quote the very key it refuses, which need not look like one."""
    said, key = _said(body), route.runtime.key
    if not said:
        return ""
    if key:
        said = said.replace(key, "…")
    return f": “{without_secrets(said)[:_LONGEST_QUOTE]}”"


def _said(body: bytes) -> str:
    """The sentence in an error body of either form, or nothing."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    error = fields.get("error") if isinstance(fields, dict) else None
    said = error.get("message") if isinstance(error, dict) else error
    return said.strip() if isinstance(said, str) else ""
