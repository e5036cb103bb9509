"""A PostgreSQL database of its own beside the one of DATABASE_URL.

Whole products that run side by side would find each other's rows in one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg


@contextmanager
def own_database(ending: str) -> Iterator[str]:
    """Its address, dropped afterwards; empty where DATABASE_URL names no PostgreSQL."""
    url = os.environ.get("DATABASE_URL", "")
    if not url.startswith("postgres"):
        yield ""
        return
    given = urlsplit(url)
    name = f"{given.path.strip('/')}_{ending}"
    with psycopg.connect(
        given._replace(path="/postgres").geturl(), autocommit=True
    ) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield given._replace(path=f"/{name}").geturl()
        finally:
            server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
