"""Fixtures of the middle floor's tests."""

from __future__ import annotations

import threading

import pytest
from django.db import connections


@pytest.fixture
def at_once():
    """at_once(function, *arguments, …) → the results of calling it in parallel.

    Each thread hands its connection back: PostgreSQL's pool is finite.
    """

    def run(function, *arguments):
        results = []

        def call(argument):
            try:
                results.append(function(*argument))
            finally:
                connections.close_all()

        threads = [threading.Thread(target=call, args=(a,)) for a in arguments]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    return run
