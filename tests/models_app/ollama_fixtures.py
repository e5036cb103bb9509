"""Fixtures: an installation whose Ollama and registry are the practice ones."""

from __future__ import annotations

import pytest

from models_app.providers import registry


@pytest.fixture
def environment(settings):
    """environment(NAME=value): as if the product had been started so."""

    def change(**values) -> None:
        fresh = settings.ENV.model_dump() | values
        settings.ENV = type(settings.ENV).model_validate(fresh)
        settings.RUNTIME_PROFILE = settings.ENV.VENOM_RUNTIME_PROFILE

    return change


@pytest.fixture
def ollama(practice_ollama, practice_registry, environment):
    """The practice Ollama, with a registry beside it, as this node's own."""
    environment(
        OLLAMA_BASE_URL=practice_ollama.url, OLLAMA_REGISTRY_URL=practice_registry.url
    )
    yield practice_ollama
    registry.close_all()
