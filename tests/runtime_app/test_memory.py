"""What is in memory: load, unload, pin, and what a look at it changes."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from history_app.models import AuditEntry
from models_app.choices import OperationStatus
from models_app.models import Operation
from models_app.services import claims, operations, targets
from runtime_app import tasks
from runtime_app.models import Runtime
from runtime_app.monitoring import health
from runtime_app.runtimes.base import UnloadUnsupported
from runtime_app.runtimes.registry import adapter_for
from runtime_app.schemas import server_payload
from runtime_app.services import memory
from runtime_app.services.memory_seen import has_moved, memory_of
from runtime_app.services.unload_now import unload_everything_now
from runtime_app.views.cards import card_of
from tests.factories import InstalledModelFactory, OperationFactory
from tests.fakes.waiting import wait_until
from venom_site.lib.errors import (
    AmbiguousName,
    NotFound,
    OperationConflict,
    OutsideProfile,
    VenomError,
)

pytestmark = pytest.mark.django_db(transaction=True)
pytest_plugins = ("tests.fakes.fixtures",)

EMBEDDER = "nomic-embed-text:latest"


def loaded(operation: Operation) -> Operation:
    tasks.run_load(str(operation.pk))
    return operations.get_operation(operation.pk)


def unloaded(operation: Operation) -> Operation:
    tasks.run_unload(str(operation.pk))
    return operations.get_operation(operation.pk)


def load(name: str, actor) -> None:
    done = loaded(memory.request_load(name, runtime="ollama", actor=actor))
    assert done.status == OperationStatus.COMPLETED, done.error


def lines(operation: Operation) -> str:
    return "\n".join(line.line for line in operation.lines.all())


# Load


def test_a_load_brings_the_model_into_memory_and_tells_the_pages(
    ollama, actor, practice_ollama, published
):
    operation = memory.request_load("gemma3:4b", runtime="ollama", actor=actor)
    assert operation.lock_key == targets.runtimes_lock(ollama.node)
    published.clear()

    done = loaded(operation)

    assert done.status == OperationStatus.COMPLETED, done.error
    assert list(practice_ollama.state.memory) == ["gemma3:4b"]
    [held] = Runtime.objects.get(pk=ollama.pk).loaded_models
    assert held["name"] == "gemma3:4b"
    assert held["size_vram_bytes"] > 0
    leaves_at = datetime.fromisoformat(held["expires_at"])
    assert timedelta(minutes=4) < leaves_at - datetime.now(UTC) < timedelta(minutes=6)
    [news] = [data for kind, data in published if kind == "runtime.changed"]
    assert news["loaded"] == ["gemma3:4b"]
    assert news["memory"][0]["expires_at"] == held["expires_at"]
    assert [step.state for step in done.steps] == ["done", "done"]


def test_without_a_runtime_the_provider_of_the_installed_model_decides(ollama, actor):
    InstalledModelFactory(name="gemma3:4b")

    operation = memory.request_load("GEMMA3:4B", actor=actor)

    assert (operation.runtime, operation.model_name) == ("ollama", "gemma3:4b")


def test_a_name_held_from_two_providers_must_say_where(ollama, actor):
    InstalledModelFactory(name="gemma3:4b")
    InstalledModelFactory(name="gemma3:4b", provider="huggingface")

    with pytest.raises(AmbiguousName) as refusal:
        memory.request_load("gemma3:4b", actor=actor)

    assert refusal.value.extras["providers"] == ["huggingface", "ollama"]
    assert memory.request_load("gemma3:4b", runtime="ollama", actor=actor)


def test_a_model_that_nobody_has_is_not_found_and_nothing_is_written(ollama, actor):
    for ask in (memory.request_load, memory.request_unload):
        with pytest.raises(NotFound) as refusal:
            ask("llama3:70b", actor=actor)
        assert "llama3:70b" in str(refusal.value)
    assert not Operation.objects.exists()


def test_the_profile_rules_over_memory_too(ollama, actor, settings):
    InstalledModelFactory(name="org/model", provider="huggingface")
    with pytest.raises(OutsideProfile):
        memory.request_load("org/model", actor=actor)

    settings.RUNTIME_PROFILE = "llm_off"
    for ask in (
        lambda: memory.request_load("gemma3:4b", actor=actor),
        lambda: memory.request_unload("gemma3:4b", actor=actor),
        lambda: memory.request_unload_all(actor=actor),
        lambda: memory.set_pinned("gemma3:4b", pinned=True, actor=actor),
    ):
        with pytest.raises(OutsideProfile):
            ask()


def test_the_same_load_joins_and_an_unload_beside_it_is_refused(ollama, actor):
    first = memory.request_load("gemma3:4b", runtime="ollama", actor=actor)

    assert memory.request_load("gemma3:4b", actor=actor).pk == first.pk
    with pytest.raises(OperationConflict) as refusal:
        memory.request_unload("gemma3:4b", actor=actor)
    assert refusal.value.extras["operation_id"] == str(first.pk)


def test_what_is_being_removed_is_not_loaded(ollama, actor):
    removal = OperationFactory(
        operation_type="remove", model_name="gemma3:4b", node=ollama.node
    )

    with pytest.raises(OperationConflict) as refusal:
        memory.request_load("gemma3:4b", actor=actor)

    assert refusal.value.extras["operation_id"] == str(removal.pk)


def test_a_load_that_fails_quotes_the_server_and_names_all_three(
    ollama, actor, practice_ollama
):
    practice_ollama.state.faults.plan("/api/chat", "status:500")

    failed = loaded(memory.request_load("gemma3:4b", actor=actor))

    assert (failed.status, failed.error_code) == ("failed", "load_failed")
    for part in ("gemma3:4b", "Ollama", ollama.base_url, "500"):
        assert part in failed.error


def test_too_little_memory_says_what_to_do(ollama, actor, practice_ollama):
    practice_ollama.state.faults.plan("/api/chat", "status:500")

    failed = loaded(memory.request_load("gemma3:4b", actor=actor))

    assert "out of memory" in failed.error, "the server's own words"
    assert failed.error.endswith("Unload another model or choose a smaller one.")


def test_a_server_whose_models_are_always_loaded_has_nothing_to_load(server, actor):
    done = loaded(memory.request_load("practice-7b", runtime="practice", actor=actor))

    assert done.status == OperationStatus.COMPLETED
    assert server_payload(server)["loaded"] == ["practice-7b"]
    assert server_payload(server)["supports"]["unload"] is False


def test_a_model_that_only_embeds_is_loaded_and_unloaded_too(
    ollama, actor, practice_ollama
):
    practice_ollama.state.add_model(EMBEDDER)

    done = loaded(memory.request_load(EMBEDDER, runtime="ollama", actor=actor))

    assert done.status == OperationStatus.COMPLETED, done.error
    [held] = Runtime.objects.get(pk=ollama.pk).loaded_models
    assert held["name"] == EMBEDDER
    done = unloaded(memory.request_unload(EMBEDDER, actor=actor))
    assert done.status == OperationStatus.COMPLETED, done.error
    assert practice_ollama.state.loaded() == []


def test_a_pin_reaches_a_model_that_only_embeds(ollama, actor, practice_ollama):
    practice_ollama.state.add_model(EMBEDDER)
    InstalledModelFactory(name=EMBEDDER)
    load(EMBEDDER, actor)

    memory.set_pinned(EMBEDDER, pinned=True, actor=actor)

    [held] = Runtime.objects.get(pk=ollama.pk).loaded_models
    assert held["expires_at"] is None


def test_a_load_that_leaves_nothing_in_memory_has_failed(
    ollama, actor, practice_ollama, monkeypatch
):
    monkeypatch.setattr(type(practice_ollama.state), "loaded", lambda self: [])

    done = loaded(memory.request_load("gemma3:4b", runtime="ollama", actor=actor))

    assert (done.status, done.error_code) == (OperationStatus.FAILED, "load_failed")
    assert "does not list the model as loaded" in done.error


# Unload


def test_an_unload_ends_when_the_memory_is_free(ollama, actor, practice_ollama):
    load("gemma3:4b", actor)

    done = unloaded(memory.request_unload("gemma3:4b", actor=actor))

    assert done.status == OperationStatus.COMPLETED, done.error
    assert practice_ollama.state.loaded() == []
    assert Runtime.objects.get(pk=ollama.pk).loaded_models == []
    assert "has left the memory" in done.message


def test_unloading_what_is_not_loaded_is_done_at_once_and_says_so(
    ollama, actor, practice_ollama
):
    done = unloaded(memory.request_unload("gemma3:4b", actor=actor))

    assert done.status == OperationStatus.COMPLETED
    assert "nothing to do" in done.message
    assert practice_ollama.state.requests["/api/chat"] == 0


@pytest.mark.slow
def test_an_unload_waits_for_the_request_that_runs_and_says_so(
    ollama, actor, practice_ollama
):
    practice_ollama.state.load_seconds = 0
    load("gemma3:4b", actor)
    state = practice_ollama.state
    state.memory["gemma3:4b"].users += 1  # a request that runs
    operation = memory.request_unload("gemma3:4b", actor=actor)
    worker = threading.Thread(target=unloaded, args=(operation,))
    worker.start()
    wait_until(lambda: "still runs" in lines(operation))
    assert worker.is_alive()

    state.memory["gemma3:4b"].users -= 1

    worker.join(timeout=5)
    done = operations.get_operation(operation.pk)
    assert done.status == OperationStatus.COMPLETED
    assert state.loaded() == []


@pytest.mark.slow
def test_an_unload_that_waits_can_be_cancelled(ollama, actor, practice_ollama):
    load("gemma3:4b", actor)
    practice_ollama.state.memory["gemma3:4b"].users += 1
    operation = memory.request_unload("gemma3:4b", actor=actor)
    worker = threading.Thread(target=unloaded, args=(operation,))
    worker.start()
    wait_until(lambda: practice_ollama.state.requests["/api/chat"] == 2)

    operations.cancel_operation(operations.get_operation(operation.pk), actor=actor)

    worker.join(timeout=2.5)
    assert not worker.is_alive()
    assert operations.get_operation(operation.pk).status == OperationStatus.CANCELLED


def test_a_model_that_is_loaded_but_no_longer_listed_can_still_be_unloaded(
    ollama, actor, practice_ollama
):
    load("gemma3:4b", actor)
    practice_ollama.state.remove_model("gemma3:4b")
    health.check_node()

    assert memory.request_unload("gemma3:4b", actor=actor)


def test_a_server_without_such_a_call_is_refused_before_anything_is_written(
    server, actor
):
    with pytest.raises(UnloadUnsupported) as refusal:
        memory.request_unload("practice-7b", runtime="practice", actor=actor)

    assert (refusal.value.code, refusal.value.http_status) == (
        "unload_unsupported",
        409,
    )
    assert not Operation.objects.exists()
    with pytest.raises(UnloadUnsupported):
        adapter_for(server).unload("practice-7b", check=lambda: None)


def test_unload_all_frees_pinned_models_too_and_skips_who_cannot(
    ollama, server, actor, practice_ollama
):
    InstalledModelFactory(name="gemma3:4b", pinned=True)
    load("gemma3:4b", actor)
    load("phi3:mini", actor)

    done = unloaded(memory.request_unload_all(actor=actor))

    assert done.status == OperationStatus.COMPLETED, done.error
    assert practice_ollama.state.loaded() == []
    assert "practice at" in lines(done)
    assert "cannot unload: skipped" in lines(done)


def test_unload_all_goes_on_when_one_server_is_away(ollama, actor, practice_ollama):
    practice_ollama.stop()

    done = unloaded(memory.request_unload_all(actor=actor))

    assert done.status == OperationStatus.COMPLETED
    assert "was skipped: Nothing answers" in lines(done)


def test_everything_leaves_memory_at_once_before_the_house_stops(
    ollama, server, actor, practice_ollama
):
    load("gemma3:4b", actor)

    said = unload_everything_now(5)

    assert said == ["Ollama: unloaded gemma3:4b."]
    assert practice_ollama.state.loaded() == []
    practice_ollama.stop()
    [sentence] = unload_everything_now(5)
    assert "Nothing answers" in sentence


def test_leaving_waits_no_longer_than_it_was_told(ollama, actor, practice_ollama):
    load("gemma3:4b", actor)
    practice_ollama.state.memory["gemma3:4b"].users += 1
    before = datetime.now(UTC)

    said = unload_everything_now(0.5)

    assert datetime.now(UTC) - before < timedelta(seconds=2)
    assert said == ["Ollama: a request still holds its model."]


# Pin


def test_a_pinned_model_is_loaded_for_ever(ollama, actor, practice_ollama):
    InstalledModelFactory(name="gemma3:4b")
    memory.set_pinned("gemma3:4b", pinned=True, actor=actor)

    load("gemma3:4b", actor)

    [held] = Runtime.objects.get(pk=ollama.pk).loaded_models
    assert held["expires_at"] is None
    card = card_of("ollama")
    assert [(m.name, m.pinned, m.stays) for m in card.loaded] == [
        ("gemma3:4b", True, True)
    ]


def test_pinning_tells_the_server_at_once_and_unpinning_gives_a_time_again(
    ollama, actor, practice_ollama, published
):
    InstalledModelFactory(name="gemma3:4b")
    load("gemma3:4b", actor)

    model = memory.set_pinned("gemma3:4b", pinned=True, actor=actor)

    assert model.pinned
    assert practice_ollama.state.last_bodies["/api/chat"]["keep_alive"] == -1
    assert Runtime.objects.get(pk=ollama.pk).loaded_models[0]["expires_at"] is None
    news = [data for kind, data in published if kind == "model.changed"]
    assert news == [
        {
            "node": "test-node",
            "provider": "ollama",
            "name": "gemma3:4b",
            "status": "installed",
        }
    ]

    memory.set_pinned("gemma3:4b", pinned=False, actor=actor)

    assert Runtime.objects.get(pk=ollama.pk).loaded_models[0]["expires_at"]
    verbs = AuditEntry.objects.order_by("id").values_list("verb", flat=True)
    assert [verb for verb in verbs if "pin" in verb] == ["model.pin", "model.unpin"]


def test_pinning_twice_leaves_one_trace_and_a_server_away_is_no_error(
    ollama, actor, practice_ollama
):
    InstalledModelFactory(name="gemma3:4b")
    load("gemma3:4b", actor)
    practice_ollama.stop()

    memory.set_pinned("gemma3:4b", pinned=True, actor=actor)
    assert memory.set_pinned("gemma3:4b", pinned=True, actor=actor).pinned

    assert AuditEntry.objects.filter(verb="model.pin").count() == 1


def test_only_installed_models_can_be_pinned(ollama, actor):
    with pytest.raises(NotFound):
        memory.set_pinned("llama3:70b", pinned=True, actor=actor)


# What was seen


def test_the_state_of_several_models_costs_one_query(
    ollama, actor, django_assert_num_queries
):
    load("phi3:mini", actor)
    health.check_node()

    with django_assert_num_queries(1):
        states = memory_of(["PHI3:mini", "gemma3:4b"])

    assert states["PHI3:mini"].loaded
    assert states["PHI3:mini"].size_vram_bytes > 0
    assert states["PHI3:mini"].expires_at > datetime.now(UTC)
    assert not states["gemma3:4b"].loaded
    assert states["gemma3:4b"].runtime_status == "online"
    assert states["gemma3:4b"].seen_at is not None


def test_without_an_ollama_nothing_is_loaded(db):
    state = memory_of(["gemma3:4b"])["gemma3:4b"]
    assert (state.loaded, state.runtime_status) == (False, "unknown")


@pytest.mark.parametrize(
    ("after", "moved"),
    [
        ({"expires_at": "2026-01-01T10:00:01.900Z"}, False),
        ({"expires_at": "2026-01-01T10:00:02.100Z"}, True),
        ({"expires_at": None}, True),
        ({"size_vram_bytes": 2}, True),
        ({"name": "b"}, True),
    ],
)
def test_a_countdown_that_only_goes_on_has_not_moved(after, moved):
    entry = {
        "name": "a",
        "size_vram_bytes": 1,
        "expires_at": "2026-01-01T10:00:00Z",
    }
    assert has_moved([entry], [entry | after]) is moved
    assert has_moved([entry], []) is True


# By API


@pytest.fixture
def post(api_client):
    client = api_client("operate")

    def send(path: str, body: object):
        return client.post(
            f"/api/v1/models/{path}", json.dumps(body), content_type="application/json"
        )

    return send


def test_the_calls_answer_202_and_200(ollama, post, practice_ollama):
    InstalledModelFactory(name="gemma3:4b")

    answer = post("load", {"name": "gemma3:4b"})
    assert answer.status_code == 202
    assert answer.json()["success"] is True
    tasks.run_load(answer.json()["operation_id"])

    answer = post("pin", {"name": "gemma3:4b", "pinned": True})
    assert answer.status_code == 200
    assert answer.json()["pinned"] is True

    answer = post("unload", {"model": "gemma3:4b", "runtime": "ollama"})
    assert answer.status_code == 202
    tasks.run_unload(answer.json()["operation_id"])

    assert practice_ollama.state.loaded() == []
    assert post("unload-all", {}).status_code == 202


def test_unload_all_needs_no_body(ollama, api_client):
    answer = api_client("operate").post(
        "/api/v1/models/unload-all", "", content_type="application/json"
    )
    assert answer.status_code == 202, answer.content


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("load", {}, 422, "invalid_body"),
        ("load", {"name": 5}, 422, "invalid_body"),
        ("load", {"name": "m" * 201}, 422, "invalid_body"),
        ("load", {"name": "gemma3:4b", "runtime": 1}, 422, "invalid_body"),
        ("load", {"name": "gemma3:4b", "runtime": "nowhere"}, 422, "unknown_runtime"),
        ("load", {"name": "gemma3:4b", "runtime": "vllm"}, 403, "outside_profile"),
        ("load", {"name": "../../etc"}, 404, "not_found"),
        ("load", {"name": "żółw <b>"}, 404, "not_found"),
        ("unload", {"name": "llama3:70b"}, 404, "not_found"),
        ("pin", {"name": "gemma3:4b"}, 422, "invalid_body"),
        ("pin", {"name": "gemma3:4b", "pinned": "yes"}, 422, "invalid_body"),
        ("pin", {"name": "llama3:70b", "pinned": True}, 404, "not_found"),
        ("unload-all", {"wait_seconds": 301}, 422, "invalid_body"),
    ],
)
def test_bad_calls_are_refused_with_a_code(ollama, post, path, body, status, code):
    answer = post(path, body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not Operation.objects.exists()


def test_a_reader_may_not_change_memory(ollama, api_client):
    client = api_client("read")
    for path in ("load", "unload", "pin", "unload-all"):
        body = json.dumps({"name": "gemma3:4b", "pinned": True})
        answer = client.post(
            f"/api/v1/models/{path}", body, content_type="application/json"
        )
        assert answer.status_code == 403, path


def test_a_server_that_does_not_answer_cannot_say_what_it_has(
    ollama, actor, practice_ollama
):
    practice_ollama.stop()

    with pytest.raises(VenomError) as refusal:
        memory.request_load("qwen3:0.6b", actor=actor)

    assert (refusal.value.code, refusal.value.http_status) == ("runtime_offline", 502)


def test_the_worker_carries_both_kinds_out_by_their_names(ollama, actor):
    from models_app.choices import TASKS

    assert TASKS["load"] == tasks.run_load.name
    assert TASKS["unload"] == tasks.run_unload.name
    operation = memory.request_load("gemma3:4b", actor=actor)
    assert claims.claim(operation.pk) is not None
