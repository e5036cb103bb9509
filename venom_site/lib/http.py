"""httpx clients with limits: the control plane's only way to make one.

The gateway's hot path uses aiohttp instead (`runtime_app/gateway/upstream.py`).
Redirects are not followed: only configured hosts are called.
"""

from __future__ import annotations

import httpx

MAX_ANSWER_BYTES = 16 * 1024 * 1024


def client(
    base_url: str, *, read_seconds: float = 5, connect_seconds: float = 2
) -> httpx.Client:
    """A short-lived client; proxies of the environment are not used for loopback."""
    timeout = httpx.Timeout(read_seconds, connect=connect_seconds)
    return httpx.Client(
        base_url=base_url, timeout=timeout, follow_redirects=False, trust_env=False
    )
