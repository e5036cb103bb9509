"""How long to wait for somebody who does not answer, and when to stop waiting.

Pure, with a clock of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
GIVE_UP_SECONDS = 600.0


class Patience:
    """Ends when nothing has moved for `GIVE_UP_SECONDS`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.now = clock
        self._since = clock()
        self._tries = 0

    def moved(self, at: float) -> None:
        """Something came at that moment: whatever follows is a new silence."""
        if at > self._since:
            self._since, self._tries = at, 0

    def next_pause(self, at_least: float = 0) -> float | None:
        """Seconds until the next try, each longer than the last, or as long as the
        other side asked for; None to give up."""
        left = self._since + GIVE_UP_SECONDS - self.now()
        if left <= 0:
            return None
        longest = len(PAUSES_SECONDS) - 1
        pause = PAUSES_SECONDS[min(self._tries, longest)]
        self._tries += 1
        return min(max(pause, at_least), left)
