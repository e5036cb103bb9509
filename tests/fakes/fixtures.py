"""pytest fixtures: a fresh practice neighbour for each test that asks for one.

Loaded as the plugin `tests.fakes.fixtures`. Each has `.url`, `.state`, `.stop()`
and `.start()`, which listens on the same port again.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.fakes.ollama import build_ollama, make_state
from tests.fakes.ollama_state import OllamaState
from tests.fakes.openai_compatible import build_openai_compatible
from tests.fakes.openai_state import OpenAIState
from tests.fakes.server import PracticeServer, State


@pytest.fixture
def practice_ollama() -> Iterator[PracticeServer[OllamaState]]:
    """An Ollama 0.33.0 with gemma3:4b and phi3:mini that answers without pauses."""
    with _running(PracticeServer(build_ollama, make_state())) as server:
        yield server


@pytest.fixture
def practice_openai() -> Iterator[PracticeServer[OpenAIState]]:
    """A vLLM-like server with the one model practice-7b and no key."""
    with _running(PracticeServer(build_openai_compatible, OpenAIState())) as server:
        yield server


@contextmanager
def _running(server: PracticeServer[State]) -> Iterator[PracticeServer[State]]:
    server.start()
    try:
        yield server
    finally:
        server.stop()
