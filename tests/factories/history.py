"""Request rows, with traits."""

import factory
from django.utils import timezone

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from venom_site.lib.ids import uuid7

TRACE = {
    "v": 1,
    "candidates": [
        {
            "runtime": "vllm",
            "provider": "vllm",
            "model": "gemma3:4b",
            "verdict": "chosen",
            "reason": "PRIMARY_PROVIDER_SELECTED",
            "detail": "",
        },
        {
            "runtime": "ollama",
            "provider": "ollama",
            "model": "gemma3:4b",
            "verdict": "next",
            "reason": "FALLBACK_OFFLINE",
            "detail": "The next in the order of fallback.",
        },
    ],
    "hops": [
        {
            "runtime": "vllm",
            "provider": "vllm",
            "model": "gemma3:4b",
            "endpoint": "http://127.0.0.1:8001/v1",
            "status": None,
            "duration_ms": 3.1,
            "reason_code": "PRIMARY_PROVIDER_SELECTED",
            "error_code": "upstream_offline",
        },
        {
            "runtime": "ollama",
            "provider": "ollama",
            "model": "gemma3:4b",
            "endpoint": "http://127.0.0.1:11434/v1",
            "status": 200,
            "duration_ms": 812.5,
            "reason_code": "FALLBACK_OFFLINE",
            "error_code": "",
        },
    ],
    "steps": [
        {
            "component": "gateway",
            "action": "received",
            "timestamp": "2026-11-21T10:00:00.000Z",
            "status": "ok",
            "details": "",
        },
        {
            "component": "upstream",
            "action": "first_token",
            "timestamp": "2026-11-21T10:00:00.100Z",
            "status": "ok",
            "details": "ollama",
        },
    ],
    "notes": ["top_k was left out: vllm does not know it."],
}


class RequestRecordFactory(factory.django.DjangoModelFactory):
    """A completed request; `running` and `failed` are other ends, `traced` has fallen
    back once."""

    class Meta:
        model = RequestRecord

    id = factory.LazyFunction(uuid7)
    request_id = factory.LazyAttribute(lambda row: str(row.id))
    status = RequestStatus.COMPLETED
    finished_at = factory.LazyFunction(timezone.now)
    duration_seconds = 1.25
    ttft_seconds = 0.25
    requested_model = "auto"
    llm_provider = "ollama"
    llm_model = "gemma3:4b"
    llm_endpoint = "http://127.0.0.1:11434/v1"
    runtime = "ollama"
    http_status = 200
    attempts = 1
    input_tokens = 5
    output_tokens = 7
    key_id = "k-1"
    key_name = "bot"
    prompt_preview = "What is the weather?"

    class Params:
        traced = factory.Trait(trace=TRACE, answer_preview="It is sunny.")
        running = factory.Trait(
            status=RequestStatus.PROCESSING,
            finished_at=None,
            duration_seconds=None,
            http_status=None,
        )
        failed = factory.Trait(
            status=RequestStatus.FAILED,
            http_status=502,
            error_code="upstream_offline",
            error_class="OFFLINE",
            error_message="Ollama does not accept connections.",
            error_retryable=True,
        )
