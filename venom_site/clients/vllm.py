"""The wire to vLLM: what every OpenAI-compatible server says, and its own counters.

`/metrics` lies outside `/v1` and answers without a key (vLLM 0.32: 64 KB in 17 ms).
Beside every counter stands a `…_created` gauge, which is a time and no count; names are
therefore matched whole. Used by the adapter and by monitoring.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from venom_site.clients.openai_compatible import READ_SECONDS, OpenAICompatibleClient
from venom_site.lib import http
from venom_site.lib.errors import WireError

LIMIT_BYTES = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmMetrics:
    """Requests running and waiting now, tokens since the start, and the filled share of
    the KV cache (0 to 1); summed over models. None for what this version has not."""

    running: int | None
    waiting: int | None
    generation_tokens: int | None
    prompt_tokens: int | None
    kv_cache_usage: float | None


class VllmClient(OpenAICompatibleClient):
    def metrics(self) -> VllmMetrics:
        """Raises `WireError`, also when it answers with something else than counters
        of vLLM."""
        reply = http.ask_reply(
            self._wire,
            f"{self._base_url.removesuffix('/v1')}/metrics",
            headers={},
            total_seconds=READ_SECONDS,
            limit_bytes=LIMIT_BYTES,
        )
        if reply.status != 200:
            raise WireError(
                f"Its counters answered with {reply.status}.", status=reply.status
            )
        return read_metrics(reply.body.decode("utf-8", "replace"))


def read_metrics(text: str) -> VllmMetrics:
    """The few figures that we use, of Prometheus' text format."""
    sums = _sums(text)
    if not sums:
        raise WireError("This does not answer with counters of vLLM.")
    return VllmMetrics(
        running=_whole(sums.get("vllm:num_requests_running")),
        waiting=_whole(sums.get("vllm:num_requests_waiting")),
        generation_tokens=_whole(sums.get("vllm:generation_tokens_total")),
        prompt_tokens=_whole(sums.get("vllm:prompt_tokens_total")),
        kv_cache_usage=sums.get("vllm:kv_cache_usage_perc"),
    )


def _sums(text: str) -> dict[str, float]:
    found: defaultdict[str, float] = defaultdict(float)
    for line in text.splitlines():
        if not line.startswith("vllm:"):
            continue
        name = line.partition("{")[0].partition(" ")[0]
        value = _number(line.rpartition("}")[2].removeprefix(name).split())
        if value is not None:
            found[name] += value
    return dict(found)


def _number(words: list[str]) -> float | None:
    """The value; a time may stand behind it. What is no finite number is dropped."""
    try:
        value = float(words[0])
    except (IndexError, ValueError):
        return None
    return value if abs(value) < 1e18 else None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
