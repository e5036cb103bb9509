"""One number for a download of many files that come side by side."""

from __future__ import annotations

from collections.abc import Callable

from models_app.providers.base import FetchNews


class Progress:
    """Bytes of all files together: they come side by side, a bar shows one number.

    `kept` is what an earlier fetch left; files that were not named yet may hold it.
    """

    def __init__(
        self, name: str, total: int, kept: int, tell: Callable[[FetchNews], None]
    ) -> None:
        self._name, self._total, self._kept = name, total, kept
        self._tell = tell
        self._done: dict[str, int] = {}
        self._say()

    def saw(self, path: str, done: int, _total: int) -> None:
        if done < self._done.get(path, 0):
            self._kept = 0  # it begins anew, and so do the figures
        self._done[path] = done
        self._say()

    def verifying(self, path: str, read: int, total: int) -> None:
        """Only once nothing is to come: until then the bytes are the news."""
        if sum(self._done.values()) >= self._total:
            news = FetchNews(phase="verifying", part=path, done=read, total=total)
            self._tell(news)

    def _say(self) -> None:
        done = min(self._total, max(self._kept, sum(self._done.values())))
        news = FetchNews(
            phase="downloading", part=self._name, done=done, total=self._total
        )
        self._tell(news)
