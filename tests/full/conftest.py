"""The servers of DATABASE_URL and REDIS_URL, for tests that start whole roles."""

import os

import pytest
import redis

from tests.environment import WORKER
from tests.own_database import own_database


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
    with own_database(f"compose{WORKER}") as url:
        if not url:
            pytest.skip("DATABASE_URL names no PostgreSQL")
        yield url
