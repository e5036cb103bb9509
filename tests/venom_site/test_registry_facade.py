"""The Python API: the samples of the documentation it came with, run as they stand."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.db import connections

from models_app import tasks as models_tasks
from models_app.models import Operation
from models_app.services import nodes
from runtime_app import tasks as runtime_tasks
from runtime_app.runtimes import registry as runtimes
from runtime_app.services import seeding
from tests.embedded.stand_in import ROOT
from tests.factories import InstalledModelFactory
from tests.product import Product
from tests.threads import in_thread
from venom_site.lib.errors import IncompatibleRuntime, NotFound
from venom_site.registry import (
    ModelCapabilities,
    ModelMetadata,
    ModelProvider,
    ModelRegistry,
    OperationStatus,
)

pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.ollama_fixtures")
pytestmark = pytest.mark.django_db(transaction=True)

RUN = {
    "install": models_tasks.run_install,
    "remove": models_tasks.run_remove,
    "activate": runtime_tasks.run_activation,
}


@contextmanager
def worker():
    """Carries out whatever is asked for, as the worker beside a program does."""
    ended = threading.Event()

    def work():
        while not ended.is_set():
            for row in Operation.objects.pending():
                RUN[row.operation_type](str(row.pk))
            connections.close_all()
            time.sleep(0.05)

    thread = in_thread(work)
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def installation(ollama, tmp_path, monkeypatch):
    """The practice Ollama, a worker, and the data folder as ./data."""
    (tmp_path / "data").symlink_to(settings.DATA_DIR)
    monkeypatch.chdir(tmp_path)
    seeding.ensure_runtimes()
    runtime_tasks.check_health()
    with worker():
        yield ollama
    runtimes.close_all()


async def end_of(registry, operation_id, seconds=60):
    async with asyncio.timeout(seconds):
        while True:
            op = registry.get_operation_status(operation_id)
            if op.status in [OperationStatus.COMPLETED, OperationStatus.FAILED]:
                return op
            await asyncio.sleep(0.1)


@pytest.mark.slow
def test_the_first_sample_installs_looks_activates_and_removes(installation, capsys):
    async def sample():
        registry = ModelRegistry(models_dir="./data/models")

        models = await registry.list_available_models(provider=ModelProvider.OLLAMA)
        before = [model.name for model in models]

        operation_id = await registry.install_model(
            model_name="qwen3:0.6b", provider=ModelProvider.OLLAMA, runtime="ollama"
        )
        operation = registry.get_operation_status(operation_id)
        print(f"Status: {operation.status}, Progress: {operation.progress}%")
        ended = await end_of(registry, operation_id)

        success = await registry.activate_model("qwen3:0.6b", "ollama")
        listed = await registry.list_available_models()

        await registry.activate_model("gemma3:4b", "ollama")
        gone = await end_of(registry, await registry.remove_model("qwen3:0.6b"))
        after = [model.name for model in await registry.list_available_models()]
        return before, ended, success, listed, gone, after

    before, ended, success, listed, gone, after = asyncio.run(sample())

    assert "qwen3:0.6b" not in [*before, *after]
    assert (ended.status, ended.progress, ended.error) == ("completed", 100, "")
    assert success is True
    [model] = [model for model in listed if model.name == "qwen3:0.6b"]
    assert (model.provider, model.runtime, model.status) == (
        ModelProvider.OLLAMA,
        "ollama",
        "installed",
    )
    assert model.size_gb == 0.52
    assert gone.status == OperationStatus.COMPLETED
    assert capsys.readouterr().out.startswith("Status: ")


def test_the_second_sample_fits_a_prompt_to_the_model():
    InstalledModelFactory(name="gemma-2b-it:latest")
    registry = ModelRegistry()
    _set_by_hand(registry, "gemma-2b-it:latest")
    system_message, user_input = "Be brief.", "Hi"

    capabilities = registry.get_model_capabilities("gemma-2b-it")
    if not capabilities.supports_system_role:
        user_message = f"Instructions: {system_message}\n\nUser: {user_input}"

    assert user_message == "Instructions: Be brief.\n\nUser: Hi"
    assert capabilities.allowed_roles == ["user", "assistant"]


def test_the_third_sample_asks_for_room():
    registry = ModelRegistry()

    assert registry.check_storage_quota(additional_size_gb=0.001)
    assert not registry.check_storage_quota(additional_size_gb=10_000.0)


def _set_by_hand(registry, name):
    caps = ModelCapabilities(
        supports_system_role=False, allowed_roles=["user", "assistant"]
    )
    metadata = ModelMetadata(
        name=name,
        provider=ModelProvider.OLLAMA,
        display_name="Display Name",
        capabilities=caps,
    )
    registry.manifest[name] = metadata
    registry._save_manifest()


def test_the_last_sample_sets_capabilities_by_hand():
    InstalledModelFactory(name="model-name:latest", context_length=8192)
    registry = ModelRegistry()

    _set_by_hand(registry, "model-name:latest")

    said = registry.manifest["model-name:latest"].capabilities
    assert said.supports_system_role is False
    assert said.source == "manual"
    assert said.max_context_length == 8192  # not given, so it stays
    assert list(registry.manifest) == ["model-name:latest"]
    assert len(registry.manifest) == 1


def test_capabilities_of_what_is_not_installed_are_refused():
    registry = ModelRegistry()

    with pytest.raises(NotFound):
        _set_by_hand(registry, "nobody:latest")
    with pytest.raises(KeyError):
        ModelRegistry().manifest["nobody:latest"]
    with pytest.raises(NotFound):
        registry.get_operation_status("no-id")


def test_plain_calls_also_work_within_an_event_loop():
    InstalledModelFactory(name="a:latest")
    nodes.this_node()

    async def sample():
        registry = ModelRegistry()
        return (
            registry.get_model_capabilities("a").source,
            registry.check_storage_quota(0.001),
            [model.name for model in await registry.list_available_models()],
            await registry.list_available_models(ModelProvider.HUGGINGFACE),
        )

    assert asyncio.run(sample()) == (None, True, ["a:latest"], [])


def test_refusals_are_those_of_the_services(installation):
    async def sample():
        await ModelRegistry().install_model("qwen3:0.6b", "ollama", runtime="vllm")

    with pytest.raises(IncompatibleRuntime):
        asyncio.run(sample())


def test_the_folder_of_another_installation_is_refused(tmp_path):
    with pytest.raises(ValueError, match="VENOM_DATA_DIR says where"):
        ModelRegistry(models_dir=tmp_path)


@pytest.mark.slow
def test_it_works_in_a_program_that_knows_nothing_of_django(tmp_path):
    product = Product(tmp_path)
    text = (
        "import asyncio\n"
        "from venom_site.registry import ModelRegistry\n"
        "print(asyncio.run(ModelRegistry().list_available_models()))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=ROOT,
        env=product.environment,
        capture_output=True,
        text=True,
    )

    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
