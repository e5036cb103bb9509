"""What a Hugging Face Hub refuses, in one word each; and every failure a `WireError`.

From `X-Error-Code` and the messages that huggingface_hub 2.4.0 reads. There a gated
repository is an error of its own and also a "not found": it is asked for first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal
from urllib.parse import urlsplit

from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx, parse_ratelimit_headers

from venom_site.lib.errors import WireError
from venom_site.lib.logging import without_secrets

Case = Literal["missing", "gated", "token", "disabled", "revision", "file", "busy"]
USUAL_WAIT_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 3600.0
LONGEST_QUOTE = 200
BAD_CREDENTIALS = "Invalid credentials"
_KINDS: tuple[tuple[type[HfHubHTTPError], Case], ...] = (
    (GatedRepoError, "gated"),  # before its parent, "missing"
    (DisabledRepoError, "disabled"),
    (RevisionNotFoundError, "revision"),
    (RemoteEntryNotFoundError, "file"),
    (RepositoryNotFoundError, "missing"),
)
_SENTENCES: dict[Case, str] = {
    "missing": "{place} has no such model, or it is private and not for us.",
    "gated": "{place} gives this model only to those who accepted its licence.",
    "token": "{place} does not accept our token.",
    "disabled": "{place} has switched this model off.",
    "revision": "{place} has no such revision of this model.",
    "file": "{place} has no such file in this model.",
    "busy": "{place} asks us to wait {wait:.0f} s.",
}
_REASONS: dict[Case, str] = {
    "gated": "AUTH_ERROR",
    "token": "AUTH_ERROR",
    "disabled": "AUTH_ERROR",
    "busy": "RATE_LIMIT",
}


class HubRefused(WireError):
    """The Hub said no. `case` says why; `wait_seconds` counts for `busy` only."""

    def __init__(
        self,
        message: str,
        *,
        case: Case,
        status: int | None = None,
        wait_seconds: float = 0,
    ) -> None:
        super().__init__(
            message,
            permanent=case != "busy",
            status=status,
            reason_code=_REASONS.get(case, "MODEL_NOT_FOUND"),
        )
        self.case: Case = case
        self.wait_seconds = wait_seconds


class HubUnreadable(WireError):
    """It answered, and nothing that this version can read."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Whatever the library or its httpx raises, as a sentence that names the host."""
    place = urlsplit(url).netloc
    try:
        yield
    except HfHubHTTPError as error:  # an httpx error and an OSError too
        raise _refusal(error, place) from error
    except OfflineModeIsEnabled as error:
        raise WireError(
            "HF_HUB_OFFLINE is set: huggingface_hub may ask nobody.",
            reason_code="OFFLINE",
        ) from error
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise WireError(
            f"Nothing answers at {place}.", reason_code="OFFLINE"
        ) from error
    except httpx.TimeoutException as error:
        raise WireError(
            f"{place} did not answer in time.", reason_code="FALLBACK_TIMEOUT"
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise WireError(f"The answer of {place} broke off.") from error


def _refusal(error: HfHubHTTPError, place: str) -> WireError:
    status, headers = error.response.status_code, error.response.headers
    quote = without_secrets(error.server_message or "")[:LONGEST_QUOTE]
    case = _case(error, status, quote)
    if case is None:
        return WireError(
            f"{place} answered {status}" + (f": {quote}" if quote else "."),
            permanent=400 <= status < 500,
            status=status,
            reason_code="AUTH_ERROR" if status in {401, 403} else "DEGRADED",
        )
    wait = wait_in(headers) if case == "busy" else 0
    sentence = _SENTENCES[case].format(place=place, wait=wait)
    return HubRefused(sentence, case=case, status=status, wait_seconds=wait)


def _case(error: HfHubHTTPError, status: int, quote: str) -> Case | None:
    for kind, case in _KINDS:
        if isinstance(error, kind):
            return case
    has_token = "authorization" in error.response.request.headers
    if status == 429 or (status == 503 and "retry-after" in error.response.headers):
        return "busy"
    if status == 401 and (has_token or BAD_CREDENTIALS in quote):
        return "token"
    if status == 403 and has_token:
        return "token"  # a fine-grained one that may not do this
    # Over http:// the library does not take a bare 401 for a missing repository.
    return "missing" if status in {401, 404} else None


def wait_in(headers: Mapping[str, str]) -> float:
    """Seconds that a 429 asks us to wait: its window's end, or `Retry-After`."""
    limit = parse_ratelimit_headers(headers)
    if limit is not None and limit.remaining == 0:
        return _bounded(limit.reset_in_seconds + 1)  # it counts whole seconds
    told = headers.get("retry-after", "").strip()
    if told.isdigit():
        return _bounded(float(told))
    try:
        moment = parsedate_to_datetime(told)
        return _bounded(math.ceil((moment - datetime.now(UTC)).total_seconds()))
    except (ValueError, TypeError):  # no date, or one without a zone
        return USUAL_WAIT_SECONDS


def _bounded(seconds: float) -> float:
    return float(min(max(seconds, 1), LONGEST_WAIT_SECONDS))
