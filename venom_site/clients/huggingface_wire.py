"""One GET to a Hugging Face Hub, through huggingface_hub's own session and errors.

Only `huggingface.py` uses it. The library's `HfApi` is not asked: its lists know no
cursor and retry for 23 s, nothing limits the size of an answer, and one strange field
is a TypeError (2.4.0, read and seen). Its session, headers, checks of names and reading
of error headers are used. No host but the endpoint is called, except where the endpoint
itself sends us for the bytes of a file; the token does not go there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

# The library reads its environment once, when it is imported, and nobody else imports
# it. Without this the first call of a process asks huggingface.co, whatever endpoint is
# configured, for a list of programs to be named to it.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

from huggingface_hub import set_client_factory
from huggingface_hub.utils import (
    build_hf_headers,
    get_session,
    hf_raise_for_status,
    httpx,
)
from huggingface_hub.utils._http import hf_request_event_hook

from venom_site import VERSION
from venom_site.clients.huggingface_errors import HubUnreadable, translated

CONNECT_SECONDS = 5
SILENCE_SECONDS = 10  # between two pieces of an answer
MOST_REDIRECTS = 5
ERROR_BYTES = 100_000
_LIMITS = httpx.Limits(max_connections=8, keepalive_expiry=2)
# They describe the bytes on the wire, and what is left here is unpacked and whole.
_OF_THE_WIRE = {"content-encoding", "content-length", "transfer-encoding"}
Params = Mapping[str, str | int | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """`next_url` is what the Link header names as the next page, else empty."""

    body: bytes
    next_url: str


def _session() -> httpx.Client:
    """The library makes its own with no time limit at all (2.4.0)."""
    return httpx.Client(
        timeout=httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
        limits=_LIMITS,
        follow_redirects=False,
        trust_env=False,
        event_hooks={"request": [hf_request_event_hook]},
    )


set_client_factory(_session)


def headers_of(token: str) -> dict[str, str]:
    """Who asks, with the token when there is one; one kept on disk is never used."""
    given = build_hf_headers(
        token=token or False, library_name="venom", library_version=VERSION
    )
    return {str(name): str(value) for name, value in given.items()}


def get(
    url: str,
    *,
    headers: Mapping[str, str],
    params: Params | None = None,
    limit_bytes: int,
    ends: float,
    may_leave: bool = False,
) -> Answer:
    """The answer of the endpoint, redirects followed; raises `WireError`.

    `ends` is by `time.monotonic()`. With `may_leave` a redirect may lead to another
    host, as it does for the bytes of big files.
    """
    with translated(url):
        for _ in range(MOST_REDIRECTS + 1):
            answer = _once(url, headers, params, limit_bytes, ends)
            if isinstance(answer, Answer):
                return answer
            target = urljoin(url, answer)
            if _origin(target) != _origin(url):
                _refuse_to_leave(url, target, may_leave)
                headers = _without_token(headers)
            url, params = target, None
    raise HubUnreadable(f"{urlsplit(url).netloc} leads in circles.")


def _once(
    url: str,
    headers: Mapping[str, str],
    params: Params | None,
    limit_bytes: int,
    ends: float,
) -> Answer | str:
    """One request: the answer, or where it is instead."""
    with get_session().stream(
        "GET", url, headers=dict(headers), params=params
    ) as response:
        if response.has_redirect_location:
            return str(response.headers["location"])
        if response.status_code >= 300:
            body = _read(response, ERROR_BYTES, ends, is_cut=True)
            hf_raise_for_status(_whole(response, body))
        body = _read(response, limit_bytes, ends)
        return Answer(body, str(response.links.get("next", {}).get("url", "")))


def _read(
    response: httpx.Response, limit_bytes: int, ends: float, *, is_cut: bool = False
) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if time.monotonic() > ends:
            raise httpx.ReadTimeout("the whole answer took too long")
        if len(body) > limit_bytes:
            if is_cut:
                break
            raise HubUnreadable(f"The answer is larger than {limit_bytes} bytes.")
    return bytes(body[:limit_bytes])


def _whole(response: httpx.Response, body: bytes) -> httpx.Response:
    """The same answer in one piece: the library reads error bodies without a limit."""
    kept = [
        (name, value)
        for name, value in response.headers.multi_items()
        if name.lower() not in _OF_THE_WIRE
    ]
    return httpx.Response(
        response.status_code, headers=kept, content=body, request=response.request
    )


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _refuse_to_leave(url: str, target: str, may_leave: bool) -> None:
    here, there = urlsplit(url), urlsplit(target)
    is_weaker = here.scheme == "https" and there.scheme != "https"
    if not may_leave or is_weaker or there.scheme not in {"http", "https"}:
        raise HubUnreadable(
            f"{here.netloc} sends us to {there.netloc or 'nowhere'}, where nothing of "
            "this kind should be."
        )


def _without_token(headers: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in headers.items() if k.lower() != "authorization"}
