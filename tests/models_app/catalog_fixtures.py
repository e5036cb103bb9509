"""Fixtures: an installation whose catalogues are shelves in memory."""

from __future__ import annotations

import pytest

from models_app.providers import catalogues
from tests.models_app.shelves import CLOUD, GEMMA, LLAMA, QWEN, SMOL, Shelf


@pytest.fixture
def library():
    """The Ollama library of this installation."""
    shelf = Shelf("ollama", [QWEN, GEMMA, CLOUD])
    catalogues.plug("ollama", shelf)
    yield shelf
    catalogues.plug("ollama", None)


@pytest.fixture
def hub():
    """The Hugging Face of this installation."""
    shelf = Shelf("huggingface", [LLAMA, SMOL])
    catalogues.plug("huggingface", shelf)
    yield shelf
    catalogues.plug("huggingface", None)
