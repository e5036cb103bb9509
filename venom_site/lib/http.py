"""httpx with limits: the control plane's only way to speak to a neighbour.

Calls of seconds stand here, those of minutes in `http_patient.py`. All turn every
failure into `WireError` and never follow redirects: only configured hosts are called.
The gateway's hot path uses aiohttp (`runtime_app/gateway/upstream.py`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import httpx

from venom_site.lib.http_answers import (
    decoded,
    headers_of,
    refuse_excess,
    too_slow,
    translated,
)

CONNECT_SECONDS = 2
Result = TypeVar("Result")
# Shorter than any server's own limit (a bare uvicorn closes idle connections after
# 5 s): a periodic check never meets a connection that is just being closed.
_LIMITS = httpx.Limits(max_connections=4, keepalive_expiry=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer as it came, whatever its status; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def client(base_url: str, *, key: str = "") -> httpx.Client:
    """A client to keep: making one costs tens of milliseconds (TLS set-up).

    Each call brings its own time limit. Proxies of the environment are not used.
    """
    return httpx.Client(
        base_url=base_url,
        headers=headers_of(key),
        timeout=httpx.Timeout(5, connect=CONNECT_SECONDS),
        limits=_LIMITS,
        follow_redirects=False,
        trust_env=False,
    )


def ask(
    wire: httpx.Client,
    method: str,
    path: str,
    *,
    body: dict[str, Any] | None = None,
    total_seconds: float = 10,
) -> Any:
    """The JSON answer to one short call; not retried here."""
    response, answer = _asked(wire, method, path, body, {}, total_seconds)
    return decoded(response, answer)


def ask_bytes(
    wire: httpx.Client, path: str, *, headers: dict[str, str], total_seconds: float = 10
) -> bytes:
    """The bytes of one short GET as they came: for what is proved by its digest."""
    response, answer = _asked(wire, "GET", path, None, headers, total_seconds)
    if response.status_code >= 300:
        decoded(response, answer)  # raises
    return answer


def ask_reply(
    wire: httpx.Client,
    path: str,
    *,
    headers: dict[str, str],
    total_seconds: float = 10,
    limit_bytes: int | None = None,
    only_begin: bool = False,
) -> Reply:
    """The answer to one short GET, refusals and redirects too: the caller judges it.

    For neighbours that say more by status and headers than by JSON. `WireError` where
    nothing whole came, or more than `limit_bytes`; with `only_begin` the reading ends
    there, whatever else would come.
    """
    response, body = _asked(
        wire,
        "GET",
        path,
        None,
        headers,
        total_seconds,
        limit_bytes=limit_bytes,
        only_begin=only_begin,
    )
    return Reply(status=response.status_code, headers=response.headers, body=body)


def _asked(
    wire: httpx.Client,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    headers: dict[str, str],
    total_seconds: float,
    *,
    limit_bytes: int | None = None,
    only_begin: bool = False,
) -> tuple[httpx.Response, bytes]:
    ends = time.monotonic() + total_seconds
    limit = httpx.Timeout(total_seconds, connect=CONNECT_SECONDS)
    with (
        translated(str(wire.base_url)),
        wire.stream(
            method, path, json=body, headers=headers, timeout=limit
        ) as response,
    ):
        answer = bytearray()
        for chunk in response.iter_bytes():
            answer += chunk
            if only_begin and limit_bytes and len(answer) >= limit_bytes:
                break
            refuse_excess(answer, ends, limit_bytes)
    return response, bytes(answer[:limit_bytes] if only_begin else answer)


def within(seconds: float, base_url: str, call: Callable[[], Result]) -> Result:
    """The result of a call, or `WireError` after these seconds whatever it waits for.

    For hosts of the outside: no time limit of ours reaches the look-up of a name,
    which takes up to half a minute on a machine without a network.
    """
    answers: SimpleQueue[tuple[Result | None, Exception | None]] = SimpleQueue()

    def run() -> None:
        try:
            answers.put((call(), None))
        except Exception as error:  # noqa: BLE001  (raised again by who waits)
            answers.put((None, error))

    threading.Thread(target=run, name="wire-within", daemon=True).start()
    try:
        result, error = answers.get(timeout=seconds)
    except Empty:
        raise too_slow(urlsplit(base_url).netloc, TimeoutError()) from None
    if error is not None:
        raise error
    return cast(Result, result)
