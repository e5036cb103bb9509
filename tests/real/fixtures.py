"""pytest fixtures: real programs, started once per session.

Loaded as the plugin `tests.real.fixtures`. Tests that use one are marked `real`.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.real import hub_rig, vllm_rig
from tests.real.hub_rig import RealHub
from tests.real.llama_server import RealLlamaServer
from tests.real.vllm_server import RealVllm


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


@pytest.fixture(scope="session")
def real_hub(tmp_path_factory) -> Iterator[RealHub]:
    """A real peer of the Hugging Face Hub: `.url`, one model at `main`."""
    folder = hub_rig.rig()
    if not hub_rig.is_installed(folder):
        pytest.skip(f"No hub in {folder}: python -m tests.real.hub_rig installs it.")
    server = RealHub(folder, tmp_path_factory.mktemp("hub"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def vllm_folder() -> Path:
    """Where the rig of vLLM is, for tests in which the product starts it."""
    folder = vllm_rig.rig()
    if not vllm_rig.is_installed(folder):
        pytest.skip(f"No vLLM in {folder}: python -m tests.real.vllm_rig installs it.")
    return folder


@pytest.fixture(scope="session")
def start_vllm(vllm_folder, tmp_path_factory) -> Iterator:
    """start_vllm() → a real vLLM whose model refuses a system role."""
    started: list[RealVllm] = []

    def start() -> RealVllm:
        server = RealVllm(vllm_folder, tmp_path_factory.mktemp("vllm"))
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def real_vllm(start_vllm) -> RealVllm:
    return start_vllm()
