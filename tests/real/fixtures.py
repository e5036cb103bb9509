"""pytest fixtures: real programs, started once per session.

Loaded as the plugin `tests.real.fixtures`. Tests that use one are marked `real`.
"""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.real.llama_server import RealLlamaServer


@pytest.fixture(scope="session")
def real_llama_server() -> Iterator[RealLlamaServer]:
    """A real llama.cpp server: `.url` without /v1, `.model` its alias."""
    for package in ("xllamacpp", "gguf"):
        if find_spec(package) is None:
            pytest.skip(f"The package {package} is not installed: no real llama.cpp.")
    server = RealLlamaServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
