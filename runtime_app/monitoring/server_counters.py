"""What a server counts itself: requests running and waiting, tokens it has made.

vLLM does, and also knows of requests that did not come through the gateway. Tokens are
a counter since its start: their rate is the mean since the look before.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from runtime_app.models import Runtime
from runtime_app.runtimes.registry import adapter_for
from venom_site.lib.errors import WireError

logger = logging.getLogger(__name__)

# After a longer silence the mean would say nothing of the present.
LONGEST_GAP_SECONDS = 60.0


class Counters(Protocol):
    """As the adapter of a server answers to `metrics()`; None for what it lacks."""

    @property
    def running(self) -> int | None: ...
    @property
    def waiting(self) -> int | None: ...
    @property
    def generation_tokens(self) -> int | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLoad:
    running: int | None
    waiting: int | None
    tokens_per_second: float | None


class CountersReader:
    """Remembers each server's last number of tokens."""

    def __init__(self) -> None:
        self._tokens: dict[UUID, tuple[float, int]] = {}

    def read(self, runtime: Runtime) -> OwnLoad | None:
        """None where the server counts nothing or does not answer."""
        counters = _ask(runtime)
        if counters is None:
            self._tokens.pop(runtime.pk, None)
            return None
        rate = self._rate(runtime.pk, counters.generation_tokens, time.monotonic())
        return OwnLoad(
            running=counters.running, waiting=counters.waiting, tokens_per_second=rate
        )

    def _rate(self, pk: UUID, tokens: int | None, now: float) -> float | None:
        """None at the first look, and when the count began anew."""
        before = self._tokens.pop(pk, None)
        if tokens is None:
            return None
        self._tokens[pk] = (now, tokens)
        if before is None:
            return None
        seconds, made = now - before[0], tokens - before[1]
        if made < 0 or not 0 < seconds <= LONGEST_GAP_SECONDS:
            return None
        return round(made / seconds, 2)


def _ask(runtime: Runtime) -> Counters | None:
    try:
        ask: Callable[[], Counters] | None
        ask = getattr(adapter_for(runtime), "metrics", None)
        return ask() if ask is not None else None
    except WireError as error:
        logger.info("counters not read runtime=%s %s", runtime.name, error)
    except Exception:
        logger.exception("counters defect runtime=%s", runtime.name)
    return None
