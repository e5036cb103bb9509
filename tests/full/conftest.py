"""The servers of DATABASE_URL and REDIS_URL, for tests that start whole roles."""

import os
from urllib.parse import urlsplit

import psycopg
import pytest
import redis


@pytest.fixture(scope="session")
def redis_url() -> str:
    url = os.environ.get("REDIS_URL", "")
    if not url:
        pytest.skip("REDIS_URL is not set")
    redis.Redis.from_url(url).ping()
    return url


@pytest.fixture(scope="module")
def database_url():
    """A database of its own beside the one of DATABASE_URL, dropped afterwards."""
    url = os.environ.get("DATABASE_URL", "")
    if not url.startswith("postgres"):
        pytest.skip("DATABASE_URL names no PostgreSQL")
    given = urlsplit(url)
    name = f"{given.path.strip('/')}_compose"
    with psycopg.connect(
        given._replace(path="/postgres").geturl(), autocommit=True
    ) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        server.execute(f'CREATE DATABASE "{name}"')
        yield given._replace(path=f"/{name}").geturl()
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
