"""`manage.py runtimes`, as a person and as a script use it."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from models_app.models import Operation
from runtime_app import tasks
from runtime_app.monitoring import health
from runtime_app.runtimes.registry import adapter_for
from tests.factories import RuntimeFactory

pytestmark = pytest.mark.django_db(transaction=True)


def run(*words, **options):
    out = io.StringIO()
    call_command("runtimes", *words, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def loaded(ollama_row, practice_ollama):
    """An Ollama with gemma3:4b in memory, as the last check saw it."""
    adapter_for(ollama_row).load("gemma3:4b", seconds=5, check=lambda: None)
    health.check_runtime(ollama_row)
    return practice_ollama


def test_the_list_names_what_is_served_and_what_is_in_memory(loaded):
    [line] = run("list").splitlines()

    for word in ("ollama", "online", "phi3:mini", "in memory: gemma3:4b"):
        assert word in line


def test_a_long_list_is_cut_for_people_and_whole_for_scripts():
    names = [f"weight{number}:1b" for number in range(1000)]
    RuntimeFactory(served_models=[{"name": name} for name in names])

    [line] = run().splitlines()

    assert "weight4:1b and 995 more" in line
    assert json.loads(run("--json"))["servers"][0]["models"] == names


def test_without_runtimes_it_says_so():
    assert "No runtime" in run()


def test_activate_without_waiting_tells_how_to_follow(loaded):
    text = run("activate", "ollama", "gemma3:4b")

    operation = Operation.objects.get()
    assert f"operations show {operation.pk} --wait" in text
    with pytest.raises(CommandError, match="model_not_installed"):
        run("activate", "ollama", "nothing:1b")


def test_unload_all_is_an_operation_of_the_worker(loaded):
    told = json.loads(run("unload-all", "--json"))

    assert told["operation"]["operation_type"] == "unload"
    tasks.run_unload(told["operation_id"])
    assert loaded.state.loaded() == []


def test_unload_all_now_needs_no_worker(loaded):
    assert "gemma3:4b" in run("unload-all", "--now")

    assert loaded.state.loaded() == []
    assert not Operation.objects.exists()


def test_unload_all_now_does_not_stumble_over_a_server_that_is_away(loaded):
    loaded.stop()

    run("unload-all", "--now")

    loaded.start()
