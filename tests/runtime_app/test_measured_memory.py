"""What a look into a runtime's memory tells the registry about its models."""

from __future__ import annotations

import pytest

from models_app.services.figures import measured_of
from runtime_app.monitoring import health
from runtime_app.runtimes.registry import adapter_for
from runtime_app.services import memory
from runtime_app.services.memory_seen import keep_measured
from runtime_app.tasks import run_load
from tests.factories import InstalledModelFactory, RuntimeFactory
from tests.fakes.ollama_memory import DEFAULT_CONTEXT

pytestmark = pytest.mark.django_db(transaction=True)
pytest_plugins = ("tests.fakes.fixtures",)


@pytest.fixture
def gemma(ollama):
    return InstalledModelFactory(name="gemma3:4b", node=ollama.node)


def test_a_load_measures_the_model(ollama, gemma, actor, practice_ollama):
    operation = memory.request_load("gemma3:4b", runtime="ollama", actor=actor)
    run_load(str(operation.pk))

    gemma.refresh_from_db()
    [held] = practice_ollama.state.memory.values()
    assert measured_of(gemma) == (held.size_bytes, DEFAULT_CONTEXT)


def test_the_health_check_measures_what_others_loaded(ollama, gemma):
    adapter_for(ollama).load("gemma3:4b", seconds=10, check=lambda: None)
    health.check_runtime(ollama)

    gemma.refresh_from_db()
    assert measured_of(gemma)[1] == DEFAULT_CONTEXT


def test_the_measure_outlives_the_model_in_memory(ollama, gemma):
    adapter = adapter_for(ollama)
    adapter.load("gemma3:4b", seconds=10, check=lambda: None)
    health.check_runtime(ollama)
    adapter.unload("gemma3:4b", check=lambda: None)
    health.check_runtime(ollama)

    gemma.refresh_from_db()
    assert measured_of(gemma)


def test_a_server_that_names_no_context_measures_nothing(ollama, gemma):
    keep_measured(ollama, [{"name": "gemma3:4b", "size_bytes": 5}])
    gemma.refresh_from_db()
    assert measured_of(gemma) is None


def test_a_server_whose_models_we_do_not_install_measures_nothing(gemma):
    other = RuntimeFactory(name="shed", kind="openai_compatible", node=gemma.node)
    entry = {"name": "gemma3:4b", "size_bytes": 5, "context_length": 9}
    keep_measured(other, [entry])
    gemma.refresh_from_db()
    assert measured_of(gemma) is None
