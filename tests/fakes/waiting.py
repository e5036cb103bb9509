"""Waiting for something to become true, with a deadline instead of luck."""

import time
from collections.abc import Callable


def wait_until(is_true: Callable[[], object], *, seconds: float = 5) -> None:
    """Return as soon as it is true; fail the test when it is not in time."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"It was not true within {seconds} s."
        time.sleep(0.01)
