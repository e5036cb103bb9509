"""Reading the head of an answer: pure functions from headers to what they promise.

Facts sheet of the Hub, section 2: X-Linked-Etag and X-Linked-Size of the redirect name
the content; the ETag of the place it leads to is that place's own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urljoin, urlsplit

from venom_site.clients.downloads_refused import DownloadRefused, Passing
from venom_site.lib.logging import without_secrets

REDIRECTS = (301, 302, 303, 307, 308)
# What a signed link answers once it has expired; stores differ in the number.
EXPIRED = (400, 401, 403, 404, 410)
LONGEST_QUOTE = 200
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_RESET_SECONDS = re.compile(r"\bt=(\d+)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What an answer with bytes says of itself."""

    is_part: bool
    start: int
    total: int | None  # of the whole file
    length: int | None  # of this body
    tag: str  # what names the content, "" when nothing does


def read_head(
    status: int, headers: Mapping[str, str], linked: Mapping[str, str]
) -> Head:
    """`linked` are the headers of the first redirect. Raises `Passing` for a body
    that is not the file's plain bytes."""
    coding = headers.get("content-encoding", "identity")
    if coding.lower() not in ("identity", ""):
        raise Passing(f"the answer is packed as {coding[:20]}, which was not asked for")
    start, total = 0, None
    length = _number(headers.get("content-length", ""))
    if status == 206:
        found = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
        if found is None:
            raise Passing("the answer does not say which part it is")
        start = int(found[1])
        total = None if found[3] == "*" else int(found[3])
    elif status == 200:
        total = length
    else:
        raise Passing(f"the answer has status {status}")
    named = _tag(linked.get("x-linked-etag", ""))
    if total is None:
        total = _number(linked.get("x-linked-size", ""))
    return Head(
        is_part=status == 206,
        start=start,
        total=total,
        length=length,
        tag=named or _tag(headers.get("etag", "")),
    )


def named_sha256(headers: Mapping[str, str]) -> str:
    """The content as the source itself names it, "" where it does not."""
    named = _tag(headers.get("x-linked-etag", ""))
    return named if _SHA256.fullmatch(named) else ""


def refusal(status: int, headers: Mapping[str, str], place: str) -> Exception:
    """What a status of the first origin means; permanent ones are not asked again."""
    said = headers.get("x-error-message") or headers.get("x-error-code") or ""
    said = without_secrets(said)[:LONGEST_QUOTE]
    message = f"{place} answered {status}" + (f": {said}" if said else "") + "."
    if status in (401, 403, 451):
        return DownloadRefused("access", message, status=status)
    if status in (404, 410):
        return DownloadRefused("missing", message, status=status)
    if status in (408, 425, 429) or status >= 500:
        return Passing(message, wait_seconds=wished_wait(headers))
    return DownloadRefused("away", message, status=status, permanent=True)


def wished_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds from Retry-After (number or date), else from the Hub's RateLimit."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    if text:
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
        except ValueError:
            return None
    found = _RESET_SECONDS.search(headers.get("ratelimit", ""))
    # The window is fixed: a second later it is a new one.
    return float(found[1]) + 1 if found else None


def next_place(url: str, location: str) -> str:
    """Where a redirect leads.

    Another host is allowed: the configured hub names it, and it is where its large
    files lie. It gets no header of ours that was meant for the hub, its answer is
    shown to nobody and goes into a file that is proved by its digest. Other schemes,
    and http after https, are refused.
    """
    try:
        place = urljoin(url, quote(location, safe="%/:=&?~#+!$,;'@()*[]"))
        target = urlsplit(place)
        is_usable = target.scheme in ("http", "https") and bool(target.hostname)
        _ = target.port
    except ValueError:
        is_usable = False
    if not is_usable or (urlsplit(url).scheme == "https" and target.scheme == "http"):
        raise DownloadRefused(
            "away",
            f"{host_of(url)} redirects to an address that is not followed.",
            permanent=True,
        )
    return place


def origin_of(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, parts.hostname or "", port


def host_of(url: str) -> str:
    """For people: without user, path and signature."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _tag(etag: str) -> str:
    return etag.strip().removeprefix("W/").strip('"')
