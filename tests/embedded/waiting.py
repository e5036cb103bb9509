"""Waiting for a fact with a deadline, for tests that watch other processes."""

import time


def wait_until(fact, *, seconds: float, every: float = 0.02) -> None:
    """Returns as soon as `fact()` is true; fails when it is not in time."""
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, f"not so within {seconds} s: {fact}"
        time.sleep(every)
