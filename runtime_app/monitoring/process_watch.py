"""Notices at once that a server of ours has ended.

The health check comes every five seconds; pages are told of a death at once. A thread
of this worker watches the identities that the last check saw, and calls for another
check when one is gone. No database here.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from django.conf import settings

from venom_site.clients import processes
from venom_site.lib.queue import send_job

LOOK_SECONDS = 0.5
JOB_LIFE_SECONDS = 5

logger = logging.getLogger(__name__)


class ProcessWatch:
    """Calls `on_gone` once for each identity that ends; its thread lives only while
    there is something to watch."""

    def __init__(self, on_gone: Callable[[], None]) -> None:
        self._on_gone = on_gone
        self._identities: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def look_after(self, identities: Iterable[str]) -> None:
        """From now on these and no others."""
        with self._lock:
            self._identities = frozenset(filter(None, identities))
            if self._identities and self._thread is None:
                self._thread = threading.Thread(target=self._watch, daemon=True)
                self._thread.start()

    def _watch(self) -> None:
        while self._has_some():
            gone = processes.gone_within(LOOK_SECONDS, self._identities)
            if gone:
                with self._lock:
                    self._identities -= gone
                self._tell()

    def _has_some(self) -> bool:
        with self._lock:
            if not self._identities:
                self._thread = None
            return bool(self._identities)

    def _tell(self) -> None:
        try:
            self._on_gone()
        except Exception:
            logger.exception("a server's end could not be told; the next check sees it")


def _check_now() -> None:
    queue = f"node.{settings.NODE}"
    send_job("runtime_app.check_health", queue=queue, life_seconds=JOB_LIFE_SECONDS)


watch = ProcessWatch(_check_now)
