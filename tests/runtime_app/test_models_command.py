"""`manage.py models`, as a person and as a script use it."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from history_app.models import AuditEntry
from models_app import tasks as models_tasks
from models_app.models import InstalledModel, Operation
from models_app.providers import registry as providers
from models_app.providers.base import ProviderAway
from runtime_app import tasks as runtime_tasks
from runtime_app.monitoring import health
from runtime_app.runtimes import registry as runtimes
from tests.factories import (
    CapabilitiesFactory,
    InstalledModelFactory,
    OperationFactory,
    RuntimeFactory,
)
from tests.fakes.waiting import wait_until
from tests.threads import in_thread

pytestmark = pytest.mark.django_db(transaction=True)
pytest_plugins = (
    "tests.fakes.fixtures",
    "tests.models_app.ollama_fixtures",
    "tests.models_app.catalog_fixtures",
)

WORKERS = {
    "install": models_tasks.run_install,
    "remove": models_tasks.run_remove,
    "activate": runtime_tasks.run_activation,
    "load": runtime_tasks.run_load,
    "unload": runtime_tasks.run_unload,
}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _no_kept_connections():
    yield
    providers.close_all()
    runtimes.close_all()


@pytest.fixture
def here(practice_ollama, practice_registry, environment):
    """This machine has a practice Ollama, which was looked at once."""
    environment(
        OLLAMA_BASE_URL=practice_ollama.url, OLLAMA_REGISTRY_URL=practice_registry.url
    )
    health.check_runtime(RuntimeFactory(base_url=practice_ollama.url))
    return practice_ollama


def run(*words, stdout=None, **options):
    out = stdout or io.StringIO()
    call_command("models", *words, stdout=out, **options)
    return out.getvalue()


def answer(*words):
    return json.loads(run(*words, "--json"))


def refusal(*words):
    """What a person reads, one sentence; nothing was started."""
    with pytest.raises(CommandError) as caught:
        run(*words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def work_off():
    """Be the worker of whatever waits now."""
    for operation in Operation.objects.pending().order_by("created_at"):
        WORKERS[operation.operation_type](str(operation.pk))


def worked(*words):
    """Run it and be the worker that it waits for."""
    worker = in_thread(lambda: (wait_until(Operation.objects.exists), work_off()))
    try:
        return run(*words, stderr=io.StringIO())
    finally:
        worker.join()


def test_the_list_is_the_one_of_the_api(here, api_client):
    InstalledModelFactory(name="gemma3:4b", pinned=True)
    OperationFactory(
        running=True,
        operation_type="install",
        provider="ollama",
        model_name="qwen3:0.6b",
        target_key="test-node|model|ollama/qwen3:0.6b",
    )

    listed = answer("list")

    called = api_client("read").get("/api/v1/models").json()
    assert listed["count"] == 2
    assert listed["models"] == called["models"]
    assert listed["active"] == called["active"]
    text = run("list")
    assert "gemma3:4b" in text
    assert "pinned" in text
    assert "downloading, 40 %" in text
    assert "gemma3:4b" not in run("list", "--provider", "huggingface")


def test_an_empty_machine_says_so():
    assert "No models" in run("list")


def test_one_is_shown_with_what_it_can_do():
    model = InstalledModelFactory(name="gemma3:4b")
    CapabilitiesFactory(model=model, supports_vision=True)

    shown = answer("show", "GEMMA3:4B")

    assert shown["model"]["digest"] == model.digest
    assert shown["capabilities"]["supports_vision"] is True
    assert "supports_vision:" in run("show", "gemma3:4b")


@pytest.mark.parametrize(
    "name", ["nothing:1b", "../etc", "two words", "x" * 300, "zażółć", "модель", ""]
)
def test_a_model_that_is_not_there_is_one_sentence(name):
    for verb in ("show", "remove", "activate"):
        assert "not_found" in refusal(verb, "--", name)


def test_an_install_is_followed_to_its_end(here):
    text = worked("install", "gemma3:270m", "--wait")

    assert "completed" in text
    assert InstalledModel.objects.get().name == "gemma3:270m"
    entry = AuditEntry.objects.filter(verb="operation.request").get()
    assert entry.channel == "cli"


def test_a_terminal_waits_by_itself_and_a_script_does_not(here):
    worker = in_thread(lambda: (wait_until(Operation.objects.exists), work_off()))
    assert "completed" in run(
        "install", "gemma3:270m", stdout=Terminal(), stderr=Terminal()
    )
    worker.join()

    text = run("install", "gemma3:1b")
    assert "pending" in text
    assert str(Operation.objects.get(model_name="gemma3:1b").pk) in text
    assert answer("install", "gemma3:1b")["operation"]["status"] == "pending"
    assert "pending" in run("install", "gemma3:1b", "--no-wait", stdout=Terminal())


def test_the_same_install_twice_is_one(here):
    first, second = answer("install", "gemma3:1b"), answer("install", "gemma3:1b")

    assert first["operation_id"] == second["operation_id"]


def test_what_was_installed_is_activated_when_that_was_asked(here):
    def work():
        wait_until(Operation.objects.exists)
        work_off()
        wait_until(Operation.objects.filter(operation_type="activate").exists)
        work_off()

    worker = in_thread(work)
    told = json.loads(
        run(
            "install",
            "gemma3:270m",
            "--activate",
            "--wait",
            "--json",
            stderr=Terminal(),
        )
    )
    worker.join()

    assert told["operation"]["status"] == "completed"
    assert told["then"]["operation_type"] == "activate"
    assert told["then"]["status"] == "completed", told["then"]["error"]


def test_a_large_one_needs_a_word(here, environment):
    environment(MODELS_CONFIRM_ABOVE_GB=0.5)
    said = refusal("install", "gemma3:1b")

    assert "--yes" in said
    assert "confirm_required" in said
    assert not Operation.objects.exists()
    assert answer("install", "gemma3:1b", "--yes")["operation"]["status"] == "pending"


@pytest.mark.parametrize(
    "name", ["..", "two words", "x" * 300, "zażółć:1b", "gemma3:4b/../x", "a//b", ""]
)
def test_a_name_that_cannot_be_is_not_installed(name, here):
    refusal("install", "--", name)

    assert not Operation.objects.exists()


def test_a_failed_install_is_a_bad_exit_with_its_code(here):
    with pytest.raises(CommandError, match=r"Install no-such-model:1b failed") as bad:
        worked("install", "no-such-model:1b", "--wait")

    assert "model_not_found" in str(bad.value)


def test_remove_frees_it_and_the_active_one_stays(here):
    InstalledModelFactory(name="gemma3:4b")
    InstalledModelFactory(name="phi3:mini")
    run("activate", "gemma3:4b")
    work_off()

    assert "model_active" in refusal("remove", "gemma3:4b")
    assert "completed" in remove_and_wait("phi3:mini")
    assert here.state.model_names() == ["gemma3:4b"]


def remove_and_wait(name):
    worker = in_thread(
        lambda: (
            wait_until(Operation.objects.filter(operation_type="remove").exists),
            work_off(),
        )
    )
    try:
        return run("remove", name, "--wait", stderr=io.StringIO())
    finally:
        worker.join()


def test_activate_takes_the_providers_runtime_or_the_one_named(here):
    InstalledModelFactory(name="gemma3:4b")

    told = answer("activate", "gemma3:4b")["operation"]

    assert (told["operation_type"], told["runtime"]) == ("activate", "ollama")
    assert (
        answer("activate", "gemma3:4b", "--runtime", "ollama")["operation_id"]
        == (told["operation_id"])
    )
    assert "unknown_runtime" in refusal("activate", "m", "--runtime", "nowhere")


def test_load_unload_and_pin(here):
    InstalledModelFactory(name="gemma3:4b")

    run("load", "gemma3:4b")
    work_off()
    assert [entry.model.name for entry in here.state.loaded()] == ["gemma3:4b"]
    assert answer("pin", "gemma3:4b") == {"name": "gemma3:4b", "pinned": True}
    assert InstalledModel.objects.get().pinned
    assert "may be unloaded" in run("unpin", "gemma3:4b")
    run("unload", "gemma3:4b")
    work_off()
    assert here.state.loaded() == []


def test_outside_the_profile_everything_is_refused(here, settings):
    InstalledModelFactory(name="gemma3:4b")
    settings.RUNTIME_PROFILE = "llm_off"

    for words in (
        ("install", "gemma3:1b"),
        ("remove", "gemma3:4b"),
        ("activate", "gemma3:4b"),
        ("load", "gemma3:4b"),
    ):
        assert "outside_profile" in refusal(*words), words
    assert "No models" in run("list")


def test_what_there_is_can_be_searched_for(hub, library):
    found = answer("search", "Qwen")

    assert found["models"] == [{"provider": "ollama", "model_name": "qwen3"}]
    assert found["errors"] == []
    line = next(line for line in run("search", "llama").splitlines() if "Llama" in line)
    assert line.split() == [
        *("meta-llama/Llama-3.2-3B", "huggingface", "6.4", "GB", "llama3.2")
    ]
    assert "Nothing matches." in run("search", "llama", "--provider", "ollama")


def test_a_search_names_a_source_that_is_away(hub, library):
    hub.trouble = ProviderAway("It does not answer.")

    said = run("search", "gemma")

    assert "gemma3" in said
    assert "Hugging Face: It does not answer." in said


def test_a_profile_without_models_searches_nothing(library, environment):
    environment(VENOM_RUNTIME_PROFILE="llm_off")

    assert "llm_off" in refusal("search", "gemma")
    assert not library.asked
