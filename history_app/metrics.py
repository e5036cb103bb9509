"""Counters of the requests this process served, as Prometheus reads them.

Fed by the writer once per ended row, off the hot path; read by `/metrics`. They grow
for as long as the process lives: with several processes each is scraped by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

# A client may invent names for a server without a list; each would be kept for ever.
MOST_MODELS = 500
OTHER = "other"
# OpenTelemetry's for generative AI (semantic conventions 1.37), in seconds.
FIRST_TOKEN_BUCKETS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08),
    *(0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
OVERHEAD_BUCKETS = (0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.064, 0.25)
WHO = ("provider", "model")

# A second series beside each, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]


class RequestMetrics:
    """The counters of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._models: set[str] = set()
        self._requests = Counter(
            "venom_requests",
            "Requests that ended.",
            (*WHO, "status"),
            registry=registry,
        )
        self._fallbacks = Counter(
            "venom_fallbacks",
            "Requests not answered by their first choice.",
            (*WHO, "reason_code"),
            registry=registry,
        )
        self._tokens = Counter(
            "venom_tokens",
            "Tokens of requests that ended.",
            (*WHO, "direction"),
            registry=registry,
        )
        self._first_token = Histogram(
            "venom_time_to_first_token_seconds",
            "From the request to its first token.",
            WHO,
            buckets=FIRST_TOKEN_BUCKETS,
            registry=registry,
        )
        self._overhead = Histogram(
            "venom_gateway_overhead_seconds",
            "What Venom itself took of a request.",
            buckets=OVERHEAD_BUCKETS,
            registry=registry,
        )
        ProcessCollector(registry=registry)

    def count(self, rows: Iterable[dict[str, Any]]) -> None:
        """Count those of these rows that ended; each ends once."""
        for row in rows:
            if row["finished_at"] is not None:
                self._count(row)

    def _count(self, row: dict[str, Any]) -> None:
        who = (str(row.get("llm_provider", "")), self._model(row.get("llm_model", "")))
        self._requests.labels(*who, str(row["status"]).lower()).inc()
        if row.get("fallback"):
            self._fallbacks.labels(*who, row.get("reason_code", "")).inc()
        for direction in ("input", "output"):
            tokens = row.get(f"{direction}_tokens")
            if tokens:
                self._tokens.labels(*who, direction).inc(tokens)
        if row.get("ttft_seconds") is not None:
            self._first_token.labels(*who).observe(row["ttft_seconds"])
        if row.get("overhead_seconds") is not None:
            self._overhead.observe(row["overhead_seconds"])

    def _model(self, name: str) -> str:
        if name not in self._models and len(self._models) >= MOST_MODELS:
            return OTHER
        self._models.add(name)
        return name


request_metrics = RequestMetrics()
