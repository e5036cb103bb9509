"""Answers over HTTP made sure: bounded, decoded, and every failure a `WireError`.

What `http.py` and `http_patient.py` share; nobody else turns httpx's words into ours.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from venom_site.lib.errors import WireError
from venom_site.lib.logging import without_secrets

MAX_ANSWER_BYTES = 16 * 1024 * 1024
LONGEST_QUOTE = 200
USUAL_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 60.0, 3600.0
_STATUS_REASONS = {
    401: "AUTH_ERROR",
    403: "AUTH_ERROR",
    404: "MODEL_NOT_FOUND",
    429: "RATE_LIMIT",
    503: "RATE_LIMIT",
}


class Unsupported(WireError):
    """The server does not know this route: 405, 501, or a 404 without a reason."""


def headers_of(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def refuse_excess(
    body: bytearray, ends: float | None, limit_bytes: int | None = None
) -> None:
    limit = MAX_ANSWER_BYTES if limit_bytes is None else limit_bytes
    if len(body) > limit:
        size = f"{limit >> 20} MiB" if limit >> 20 else f"{limit} B"
        raise WireError(f"The answer is larger than {size}.", permanent=True)
    if ends is not None and time.monotonic() > ends:
        raise httpx.ReadTimeout("the whole answer took too long")


def seconds_to_wait(headers: Mapping[str, str]) -> float:
    """What `Retry-After` asks for, as seconds or as a date; a minute where it is
    missing or nonsense, an hour at most."""
    asked = headers.get("retry-after", "").strip()
    try:
        seconds = float(asked)
    except ValueError:
        seconds = _seconds_until(asked)
    if not 0 <= seconds < float("inf"):
        return USUAL_WAIT_SECONDS
    return min(max(1.0, seconds), LONGEST_WAIT_SECONDS)


def _seconds_until(date: str) -> float:
    try:
        moment = parsedate_to_datetime(date)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return USUAL_WAIT_SECONDS


@contextmanager
def translated(base_url: str) -> Iterator[None]:
    """Whatever httpx raises, as a sentence that names the server."""
    place = urlsplit(base_url).netloc
    try:
        yield
    except (httpx.TimeoutException, TimeoutError) as error:
        raise too_slow(place, error) from error
    except httpx.ConnectError as error:
        raise WireError(
            f"Nothing answers at {place}.", reason_code="OFFLINE"
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise WireError(f"The answer of {place} broke off.") from error


def too_slow(place: str, error: Exception) -> WireError:
    if isinstance(error, httpx.ConnectTimeout):
        return WireError(f"Nothing answers at {place}.", reason_code="OFFLINE")
    return WireError(f"{place} did not answer in time.", reason_code="FALLBACK_TIMEOUT")


def decoded(response: httpx.Response, body: bytes) -> Any:
    place, status = response.url.netloc.decode(), response.status_code
    try:
        answer = json.loads(body) if body else None
    except ValueError:  # UnicodeDecodeError is one too
        answer = body[:LONGEST_QUOTE].decode("utf-8", "replace")
        if status < 300:
            raise WireError(
                f"{place} answered with something else than JSON."
            ) from None
    if status < 300:
        return answer
    quote = without_secrets(quoted_error(answer))[:LONGEST_QUOTE]
    is_unsupported = status in {405, 501} or (status == 404 and not quote)
    raise (Unsupported if is_unsupported else WireError)(
        f"{place} answered {status}" + (f": {quote}" if quote else "."),
        permanent=400 <= status < 500 and status != 429,
        status=status,
        reason_code=_STATUS_REASONS.get(status, "DEGRADED"),
    )


def quoted_error(answer: Any) -> str:
    """The vendor's own words: `{"error": "…"}`, `{"error": {"message": "…"}}`."""
    error = (
        answer.get("error", answer.get("detail")) if isinstance(answer, dict) else ""
    )
    if isinstance(error, dict):
        error = error.get("message")
    return error.strip() if isinstance(error, str) else ""
