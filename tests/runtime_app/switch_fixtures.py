"""Servers between which activations switch: a practice vLLM that we start, whose
models misbehave as their folders say, and the practice Ollama beside it."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import suppress

import pytest

from models_app.choices import ProviderName
from runtime_app.choices import ManagedBy, RuntimeKind
from runtime_app.runtimes import registry
from runtime_app.runtimes.controls import control_for
from tests.factories import CapabilitiesFactory, InstalledModelFactory, RuntimeFactory
from tests.runtime_app.switches import free_port, fresh
from venom_site.lib.errors import WireError

PROGRAM = shlex.join([sys.executable, "-m", "tests.fakes.vllm_by_folder", "serve"])


@pytest.fixture
def vllm(db, settings, tmp_path):
    """The row of a vLLM that nobody has started; what it starts is ended afterwards."""
    settings.DATA_DIR = tmp_path
    settings.RUNTIME_PROFILE = "full"
    settings.ENV = settings.ENV.model_copy(
        update={
            "VLLM_COMMAND": PROGRAM,
            "VLLM_START_TIMEOUT_SECONDS": 20,
            "VENOM_STOP_GRACE_SECONDS": 3,
            "VENOM_FIRST_BYTE_SECONDS_LOCAL": 10,
            "VLLM_SYSTEMD_UNIT": "venom-practice-absent.service",
            "OLLAMA_SYSTEMD_UNIT": "venom-practice-absent.service",
            "OLLAMA_COMMAND": "venom-practice-absent serve",
        }
    )
    row = RuntimeFactory(
        name="vllm",
        display_name="vLLM",
        kind=RuntimeKind.VLLM,
        base_url=f"http://127.0.0.1:{free_port()}/v1",
        managed_by=ManagedBy.PROCESS,
        position=20,
    )
    yield row
    registry.close_all()
    with suppress(WireError):
        control_for(fresh(row)).stop(grace_seconds=2, check=lambda: None)


@pytest.fixture
def hub_model(vllm, tmp_path):
    """hub_model("acme/a", fail="bad_weights") → installed here, with these tricks."""

    def make(name: str, *, revision: str = "a1" * 20, **tricks):
        folder = tmp_path / "models" / f"{name.replace('/', '_')}@{revision[:8]}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"max_position_embeddings": 4096}')
        (folder / "practice.json").write_text(json.dumps(tricks))
        model = InstalledModelFactory(
            provider=ProviderName.HUGGINGFACE,
            name=name,
            revision=revision,
            path=str(folder),
        )
        CapabilitiesFactory(model=model)
        return model

    return make
