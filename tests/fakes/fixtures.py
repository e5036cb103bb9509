"""pytest fixtures: a fresh practice neighbour for each test that asks for one.

Loaded as the plugin `tests.fakes.fixtures`. Each has `.url`, `.state`, `.stop()`
and `.start()`, which listens on the same port again.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.huggingface import build_huggingface
from tests.fakes.huggingface_state import HubState
from tests.fakes.news import NewsState, build_news
from tests.fakes.ollama import build_ollama, make_state
from tests.fakes.ollama_library import LibraryState, build_library
from tests.fakes.ollama_registry import RegistryState, build_registry
from tests.fakes.ollama_state import OllamaState
from tests.fakes.openai_compatible import build_openai_compatible
from tests.fakes.openai_state import OpenAIState
from tests.fakes.server import PracticeServer, State
from tests.fakes.systemd_bench import PracticeSystemd


@pytest.fixture
def practice_ollama() -> Iterator[PracticeServer[OllamaState]]:
    """An Ollama 0.33.0 with gemma3:4b and phi3:mini that answers without pauses."""
    with _running(PracticeServer(build_ollama, make_state())) as server:
        yield server


@pytest.fixture
def practice_registry(
    practice_ollama: PracticeServer[OllamaState],
) -> Iterator[PracticeServer[RegistryState]]:
    """The registry the practice Ollama pulls from: both share one `library`."""
    state = RegistryState(library=practice_ollama.state.library)
    with _running(PracticeServer(build_registry, state)) as server:
        yield server


@pytest.fixture
def practice_library(
    practice_registry: PracticeServer[RegistryState],
) -> Iterator[PracticeServer[LibraryState]]:
    """The site that shows what the practice registry offers."""
    state = LibraryState(library=practice_registry.state.library)
    with _running(PracticeServer(build_library, state)) as server:
        yield server


@pytest.fixture
def practice_openai() -> Iterator[PracticeServer[OpenAIState]]:
    """A vLLM-like server with the one model practice-7b and no key."""
    with _running(PracticeServer(build_openai_compatible, OpenAIState())) as server:
        yield server


@pytest.fixture
def practice_hub() -> Iterator[PracticeServer[HubState]]:
    """A Hugging Face Hub: its usual shelf, big files on a second origin."""
    with _running(PracticeServer(build_huggingface, HubState())) as server:
        yield server


@pytest.fixture
def practice_news() -> Iterator[PracticeServer[NewsState]]:
    """A blog's feed and papers, with something new every day."""
    with _running(PracticeServer(build_news, NewsState())) as server:
        yield server


@contextmanager
def _running(server: PracticeServer[State]) -> Iterator[PracticeServer[State]]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def practice_systemd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PracticeSystemd]:
    """A systemd with no units yet; its programs stand first on the PATH."""
    with PracticeSystemd(tmp_path) as systemd:
        monkeypatch.setenv("PATH", f"{systemd.path}{os.pathsep}{os.environ['PATH']}")
        yield systemd
