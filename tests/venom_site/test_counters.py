"""Counting in windows, in memory and in Redis."""

from __future__ import annotations

import os
import uuid

import pytest

from venom_site.lib import counters


@pytest.fixture(autouse=True)
def in_memory(settings):
    settings.REDIS_URL = ""


@pytest.fixture
def key():
    return f"test:{uuid.uuid4()}"


def test_it_counts_up_says_what_is_left_and_begins_again(key):
    assert [counters.hit(key, window_seconds=60)[0] for _ in range(3)] == [1, 2, 3]
    assert 1 <= counters.hit(key, window_seconds=60)[1] <= 60
    counters.reset(key)

    assert counters.hit(key, window_seconds=60)[0] == 1


def test_a_window_that_has_ended_counts_from_one(key):
    counters.hit(key, window_seconds=0)

    assert counters.hit(key, window_seconds=60)[0] == 1


def test_strangers_cannot_fill_the_memory(monkeypatch):
    monkeypatch.setattr(counters, "_MOST_KEYS", 5)
    monkeypatch.setattr(counters, "_counts", {})
    for number in range(50):
        counters.hit(f"stranger {number}", window_seconds=60)

    assert len(counters._counts) <= 5


def test_a_redis_that_is_away_counts_in_memory(settings, key):
    settings.REDIS_URL = "redis://127.0.0.1:9/0"

    assert [counters.hit(key, window_seconds=60)[0] for _ in range(2)] == [1, 2]
    counters.reset(key)


@pytest.mark.full
def test_redis_counts_for_all_processes(settings, key):
    settings.REDIS_URL = os.environ.get("REDIS_URL") or "redis://127.0.0.1:6379/0"
    counts = [counters.hit(key, window_seconds=60) for _ in range(3)]

    assert [count for count, _ in counts] == [1, 2, 3]
    assert all(1 <= left <= 60 for _, left in counts)
    assert key not in counters._counts
    counters.reset(key)
    assert counters.hit(key, window_seconds=60)[0] == 1
    counters.reset(key)
