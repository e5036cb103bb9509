"""httpx with limits: the control plane's only way to speak to a neighbour.

`ask` is one JSON call of seconds; `ask_patiently` one that may take minutes and can be
ended at any time. Both turn every failure into `WireError` and never follow redirects:
only configured hosts are called. The gateway's hot path uses aiohttp instead
(`runtime_app/gateway/upstream.py`).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from venom_site.lib.errors import WireError
from venom_site.lib.logging import without_secrets

MAX_ANSWER_BYTES = 16 * 1024 * 1024
LONGEST_QUOTE = 200
CHECK_EVERY_SECONDS = 0.2
# Shorter than any server's own limit (uvicorn closes idle connections after 5 s), so
# that a periodic check never meets a connection that is just being closed.
_LIMITS = httpx.Limits(max_connections=4, keepalive_expiry=2)
_STATUS_REASONS = {
    401: "AUTH_ERROR",
    403: "AUTH_ERROR",
    404: "MODEL_NOT_FOUND",
    429: "RATE_LIMIT",
    503: "RATE_LIMIT",
}


def client(
    base_url: str,
    *,
    read_seconds: float = 5,
    connect_seconds: float = 2,
    key: str = "",
) -> httpx.Client:
    """A client to keep: making one costs tens of milliseconds (TLS set-up).

    Proxies of the environment are not used.
    """
    return httpx.Client(
        base_url=base_url,
        headers=_headers(key),
        timeout=httpx.Timeout(read_seconds, connect=connect_seconds),
        limits=_LIMITS,
        follow_redirects=False,
        trust_env=False,
    )


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def ask(
    wire: httpx.Client, method: str, path: str, *, total_seconds: float = 10
) -> Any:
    """The JSON answer to one short call without a body; not retried here."""
    ends = time.monotonic() + total_seconds
    with _translated(str(wire.base_url)), wire.stream(method, path) as response:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            _refuse_excess(body, ends)
    return _decoded(response, bytes(body))


async def _post(
    base_url: str, path: str, body: dict[str, Any], *, key: str, seconds: float
) -> Any:
    timeout = httpx.Timeout(seconds, connect=5)
    async with (
        httpx.AsyncClient(
            base_url=base_url, headers=_headers(key), timeout=timeout, trust_env=False
        ) as wire,
        wire.stream("POST", path, json=body) as response,
    ):
        answer = bytearray()
        async for chunk in response.aiter_bytes():
            answer += chunk
            _refuse_excess(answer, None)
    return _decoded(response, bytes(answer))


def ask_patiently(
    base_url: str,
    path: str,
    body: dict[str, Any],
    *,
    seconds: float,
    check: Callable[[], None],
    key: str = "",
) -> Any:
    """The JSON answer to a POST that may take minutes, while a model is loaded.

    `check` is called five times a second; when it raises, the connection is closed at
    once, which ends the work on the other side too. Not retried here.
    """

    async def watched() -> Any:
        call = asyncio.create_task(
            _post(base_url, path, body, key=key, seconds=seconds)
        )
        async with _ended(call), asyncio.timeout(seconds):
            while not call.done():
                await asyncio.wait([call], timeout=CHECK_EVERY_SECONDS)
                check()
        return call.result()

    with _translated(base_url):
        return asyncio.run(watched())


@asynccontextmanager
async def _ended(call: asyncio.Task[Any]) -> AsyncIterator[None]:
    """Leave no call behind, whatever ends the block."""
    try:
        yield
    finally:
        call.cancel()
        await asyncio.wait([call])
        if not call.cancelled():
            call.exception()  # looked at, so that asyncio does not complain


def _refuse_excess(body: bytearray, ends: float | None) -> None:
    if len(body) > MAX_ANSWER_BYTES:
        raise WireError("The answer is larger than 16 MiB.", permanent=True)
    if ends is not None and time.monotonic() > ends:
        raise httpx.ReadTimeout("the whole answer took too long")


@contextmanager
def _translated(base_url: str) -> Iterator[None]:
    """Whatever httpx raises, as a sentence that names the server."""
    place = urlsplit(base_url).netloc
    try:
        yield
    except (httpx.TimeoutException, TimeoutError) as error:
        raise _too_slow(place, error) from error
    except httpx.ConnectError as error:
        raise WireError(
            f"Nothing answers at {place}.", reason_code="OFFLINE"
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise WireError(f"The answer of {place} broke off.") from error


def _too_slow(place: str, error: Exception) -> WireError:
    if isinstance(error, httpx.ConnectTimeout):
        return WireError(f"Nothing answers at {place}.", reason_code="OFFLINE")
    return WireError(f"{place} did not answer in time.", reason_code="FALLBACK_TIMEOUT")


def _decoded(response: httpx.Response, body: bytes) -> Any:
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
    raise WireError(
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
