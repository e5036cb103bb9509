"""Fixtures: an installation of the full profile whose hub is the practice hub."""

from __future__ import annotations

import pytest

from models_app.providers import registry

pytest_plugins = ("tests.models_app.ollama_fixtures",)


@pytest.fixture
def shop(practice_hub, environment, settings, tmp_path):
    """The practice hub as this installation's own, with a store and a shelf of its
    own: `shop.state`, `shop.store` (the hf folder), `shop.shelf` (to be scanned)."""
    environment(
        VENOM_RUNTIME_PROFILE="full",
        HF_ENDPOINT=practice_hub.url,
        HF_TOKEN="",
        MODELS_CACHE_DIR=tmp_path / "models",
        MODELS_SCAN_DIRS=str(tmp_path / "shelf"),
    )
    settings.DATA_DIR = tmp_path
    practice_hub.store = tmp_path / "models" / "hf"
    practice_hub.shelf = tmp_path / "shelf"
    yield practice_hub
    registry.close_all()


@pytest.fixture
def hub_provider(shop):
    """The provider itself."""
    return registry.provider_for("huggingface")
