"""What a value of the environment may be: addresses, names, ports, times, counts.

The types of `env.py`; forms and bodies that take the same things use them too.
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

SERVER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
RESERVED_SERVER_NAMES = frozenset({"ollama", "vllm", "openai", "google", "active"})


def http_url(value: str) -> str:
    """An address without credentials or a trailing slash; raises ValueError."""
    parts: SplitResult = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http:// or https:// address")
    if parts.username or parts.password:
        raise ValueError("must not contain a user name or password")
    _ = parts.port  # raises ValueError for a port out of range
    return value.rstrip("/")


def time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError("is not a known time zone name") from error
    return value


def node_name(value: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", value)[:63]
    if not name:
        raise ValueError("must contain a letter or a digit")
    return name


def named_servers(value: str) -> str:
    for pair in filter(None, map(str.strip, value.split(","))):
        name, _, url = pair.partition("=")
        if not SERVER_NAME.fullmatch(name) or name in RESERVED_SERVER_NAMES:
            raise ValueError(f"{name!r} cannot be a server's name")
        http_url(url)
    return value


HttpUrl = Annotated[str, AfterValidator(http_url)]
Port = Annotated[int, Field(ge=1, le=65535)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=1)]
