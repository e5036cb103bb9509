"""vLLM as a runtime: one model for as long as it runs, and a proof that it computes.

Its `/health` answers 200 while the engine hangs, so does its list of models. Real signs
of life are one token while nobody asks it anything, and counters that move while
somebody does. Both are taken only of a server that we run ourselves.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from runtime_app.choices import RuntimeStatus
from runtime_app.runtimes.base import Observation
from runtime_app.runtimes.openai_compatible import OpenAICompatibleAdapter
from venom_site.clients.vllm import VllmClient, VllmMetrics
from venom_site.lib.errors import WireError

TOKEN_EVERY_SECONDS = 60.0
TOKEN_AGAIN_SECONDS = 10.0  # while the last one did not come
TOKEN_SECONDS = 30.0
STANDSTILL_SECONDS = 60.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Progress:
    """When the counters of a server at work moved last; `now` is monotonic seconds."""

    count: int = -1
    since: float = 0.0

    def standstill(self, seen: VllmMetrics, now: float) -> float:
        """For how long requests run without a single token; 0 while none runs."""
        count = (seen.generation_tokens or 0) + (seen.prompt_tokens or 0)
        if not seen.running or count != self.count:
            self.count, self.since = count, now
            return 0.0
        return now - self.since


class VllmAdapter(OpenAICompatibleAdapter):
    """`is_ours` is set by the registry: whether we run it and may ask it for tokens."""

    _client: VllmClient

    def __init__(self, base_url: str, key: str = "") -> None:
        super().__init__(base_url, key)
        self.is_ours = False
        self._progress = Progress()
        self._token = TokenWatch(self._one_token)

    def _make_client(self, base_url: str, key: str) -> VllmClient:
        return VllmClient(base_url, key)

    def metrics(self) -> VllmMetrics:
        """Its counters now; raises `WireError`."""
        return self._client.metrics()

    def observe(self) -> Observation:
        seen = super().observe()
        if seen.is_failure:
            self._progress, self._token.sentence = Progress(), ""
            return seen
        complaint = self._complaint(seen.models or [])
        if not complaint:
            return seen
        return replace(seen, status=RuntimeStatus.DEGRADED, error=complaint)

    def _complaint(self, models: list[dict[str, Any]]) -> str:
        """Why it does not really work; empty when it does or nobody can tell."""
        try:
            metrics = self.metrics()
        except WireError:
            return ""
        stands = self._progress.standstill(metrics, time.monotonic())
        if stands >= STANDSTILL_SECONDS:
            return (
                f"It works on {metrics.running} requests and has made no token for "
                f"{stands:.0f} s: its engine hangs. Restart it."
            )
        if not self.is_ours or not models:
            return ""
        if not metrics.running:
            self._token.ask(str(models[0]["name"]))
        return self._token.sentence

    def _one_token(self, model: str) -> None:
        self._client.one_token(model, seconds=TOKEN_SECONDS, check=_nobody_waits)


class TokenWatch:
    """Asks for one token now and then, in a thread: a look never waits for it."""

    def __init__(self, one_token: Callable[[str], None]) -> None:
        self._one_token = one_token
        self._asked_at = float("-inf")
        self._busy = threading.Lock()
        self.sentence = ""

    def ask(self, model: str) -> None:
        every = TOKEN_AGAIN_SECONDS if self.sentence else TOKEN_EVERY_SECONDS
        if time.monotonic() - self._asked_at < every:
            return
        if self._busy.acquire(blocking=False):
            self._asked_at = time.monotonic()
            threading.Thread(target=self._ask, args=(model,), daemon=True).start()

    def _ask(self, model: str) -> None:
        try:
            self._one_token(model)
            self.sentence = ""
        except WireError as error:
            self.sentence = f"It lists {model}, but gave no token: {error}"
        except Exception:
            logger.exception("token watch defect model=%s", model)
        finally:
            self._asked_at = time.monotonic()
            self._busy.release()


def _nobody_waits() -> None:
    """The time limit alone ends it."""
