"""Threads of tests: each hands its database connection back when it ends.

PostgreSQL's pool is finite, and a test database in use cannot be dropped.
"""

from __future__ import annotations

import threading

from django.db import connections


def in_thread(function, *arguments):
    """The started thread that calls it."""

    def call():
        try:
            function(*arguments)
        finally:
            connections.close_all()

    thread = threading.Thread(target=call)
    thread.start()
    return thread


def join(thread, seconds=60):
    """Wait for its end, and fail the test when it does not come; the deadline is no
    promise of the product."""
    thread.join(seconds)
    assert not thread.is_alive(), f"It did not end within {seconds} s."


def at_once(function, *calls):
    """The results of calling it with each tuple of arguments in parallel."""
    results = []
    threads = [
        in_thread(lambda given=given: results.append(function(*given)))
        for given in calls
    ]
    for thread in threads:
        thread.join()
    return results
