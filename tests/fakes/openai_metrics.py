"""The lines of `/metrics` that a supervisor reads, with vLLM 0.32's names and labels.

Each counter has the `…_created` gauge beside it that a sum by prefix would take for
one. Of the histograms only the first token's is here.
"""

from tests.fakes.openai_state import OpenAIState

# With a version, as Prometheus' own client writes it; aiohttp's `text=` would set one.
PROMETHEUS = {"Content-Type": "text/plain; version=1.0.0; charset=utf-8"}
ENDPOINTS = ("/v1/chat/completions", "/v1/completions")


def exposition(state: OpenAIState) -> str:
    """The whole text; the server that is asked does not count this call."""
    name = state.served[0] if state.served else ""
    labels = f'engine="0",model_name="{name}"'
    done = sum(state.requests[path] for path in ENDPOINTS) - state.running
    lines = [
        *_gauge("vllm:num_requests_running", labels, state.running),
        *_gauge("vllm:num_requests_waiting", labels, 0),
        *_gauge("vllm:kv_cache_usage_perc", labels, min(1.0, state.running * 0.01)),
        *_gauge("vllm:engine_sleep_state", f'{labels},sleep_state="awake"', 1),
        *_counter("vllm:prompt_tokens", labels, state.prompt_tokens),
        *_counter("vllm:generation_tokens", labels, state.generated_tokens),
        *_counter(
            "vllm:request_success", f'{labels},finished_reason="stop"', max(0, done)
        ),
        "# TYPE process_resident_memory_bytes gauge",
        f"process_resident_memory_bytes {float(state.memory_bytes)}",
    ]
    return "\n".join(lines) + "\n"


def _gauge(name: str, labels: str, value: float) -> list[str]:
    return [f"# TYPE {name} gauge", f"{name}{{{labels}}} {float(value)}"]


def _counter(name: str, labels: str, value: float) -> list[str]:
    return [
        f"# TYPE {name}_total counter",
        f"{name}_total{{{labels}}} {float(value)}",
        f"# TYPE {name}_created gauge",
        f"{name}_created{{{labels}}} 1.795173370e+09",
    ]
