"""Request rows, with traits."""

import factory
from django.utils import timezone

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from venom_site.lib.ids import uuid7


class RequestRecordFactory(factory.django.DjangoModelFactory):
    """A completed request; `running`, `failed` and `cut` are the other ends."""

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
