"""Fixtures of runtimes: rows that point at practice neighbours, news that was sent."""

from __future__ import annotations

import pytest

from runtime_app.choices import RuntimeKind
from runtime_app.monitoring import health
from runtime_app.runtimes import registry
from tests.factories import RuntimeFactory
from venom_site.lib import events


@pytest.fixture(autouse=True)
def _no_kept_connections():
    yield
    registry.close_all()


@pytest.fixture
def published(monkeypatch):
    """The events that left for the channel layer and are for programs too, as
    (type, data)."""
    sent: list[tuple[str, dict]] = []

    def keep(message):
        event = message["event"]
        if event["type"] not in events.INTERNAL:
            sent.append((event["type"], event["data"]))

    monkeypatch.setattr(events, "_send", keep)
    return sent


@pytest.fixture
def ollama_row(db, practice_ollama):
    """The Ollama row, at the practice Ollama, not checked yet."""
    return RuntimeFactory(base_url=practice_ollama.url)


@pytest.fixture
def server_row(db, practice_openai):
    """An OpenAI-compatible row called practice, not checked yet."""
    return RuntimeFactory(
        name="practice",
        display_name="practice",
        kind=RuntimeKind.OPENAI_COMPATIBLE,
        base_url=f"{practice_openai.url}/v1",
        position=100,
    )


@pytest.fixture
def ollama(ollama_row):
    """The same after its first check."""
    return health.check_runtime(ollama_row)


@pytest.fixture
def server(server_row):
    """The same after its first check."""
    return health.check_runtime(server_row)


@pytest.fixture
def impatient(settings):
    """impatient(1) → a model has one second to load and answer."""

    def make(seconds: float) -> None:
        limits = {"VENOM_FIRST_BYTE_SECONDS_LOCAL": seconds}
        settings.ENV = settings.ENV.model_copy(update=limits)

    return make
