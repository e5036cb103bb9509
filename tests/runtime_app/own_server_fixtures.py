"""A vLLM row whose server is a practice program that we really start and stop."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from models_app.choices import ProviderName
from runtime_app.choices import ManagedBy, RuntimeKind
from runtime_app.runtimes import registry
from runtime_app.runtimes.controls import control_for
from tests.factories import CapabilitiesFactory, InstalledModelFactory, RuntimeFactory
from tests.runtime_app.own_servers import MODEL, PROGRAM, free_port, fresh
from venom_site.lib.errors import WireError


@pytest.fixture
def own_settings(settings, tmp_path):
    """own_settings(VLLM_DTYPE="half") → the environment says so."""
    settings.DATA_DIR = tmp_path
    settings.RUNTIME_PROFILE = "full"

    def change(**values):
        settings.ENV = settings.ENV.model_copy(update=values)

    change(
        VLLM_COMMAND=PROGRAM,
        VLLM_START_TIMEOUT_SECONDS=20,
        VENOM_STOP_GRACE_SECONDS=2,
        VLLM_SYSTEMD_UNIT="venom-practice-absent.service",
    )
    return change


@pytest.fixture
def tricks(monkeypatch):
    """tricks(start_seconds=1) → how the next practice vLLM misbehaves."""

    def plan(**wishes):
        monkeypatch.setenv("PRACTICE_VLLM", json.dumps(wishes))

    return plan


@pytest.fixture
def folder(tmp_path):
    """A model folder with what the practice program reads of it."""
    path = tmp_path / "models" / "practice-7b"
    path.mkdir(parents=True)
    (path / "config.json").write_text('{"max_position_embeddings": 4096}')
    return path


@pytest.fixture
def own_model(db, folder):
    model = InstalledModelFactory(
        provider=ProviderName.HUGGINGFACE, name=MODEL, path=str(folder)
    )
    CapabilitiesFactory(model=model)
    return model


@pytest.fixture
def own_vllm(own_settings, own_model):
    """The row; whatever it started is ended afterwards."""
    row = RuntimeFactory(
        name="vllm",
        display_name="vLLM",
        kind=RuntimeKind.VLLM,
        base_url=f"http://127.0.0.1:{free_port()}/v1",
        managed_by=ManagedBy.PROCESS,
    )
    yield row
    registry.close_all()
    with suppress(WireError):
        control_for(fresh(row)).stop(grace_seconds=2, check=lambda: None)
