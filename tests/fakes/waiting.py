"""Waiting for something to become true, with a deadline instead of luck.

The deadline only ends a test that has failed: it is many times what a machine with
nothing else to do needs, so that one with twenty other things to do passes too.
"""

import time
from collections.abc import Callable


def wait_until(is_true: Callable[[], object], *, seconds: float = 30) -> None:
    """Return as soon as it is true; fail the test when it is not in time."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"It was not true within {seconds} s."
        time.sleep(0.01)
