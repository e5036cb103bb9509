"""Activation: it commits after one real token, or leaves everything as it was."""

from __future__ import annotations

import hashlib
import threading

import pytest

from history_app.models import AuditEntry
from models_app.choices import OperationStatus
from models_app.models import Operation
from models_app.services import claims, operations
from models_app.services.work import Cancelled, Fenced
from runtime_app.governance.policy import policy_number
from runtime_app.models import Activation, Runtime
from runtime_app.monitoring import health
from runtime_app.services import activate
from runtime_app.services.active import active_payload, chip
from tests.fakes.waiting import wait_until
from venom_site.lib.errors import (
    InvalidBody,
    ModelNotInstalled,
    OperationConflict,
    OutsideProfile,
    VenomError,
)

pytestmark = pytest.mark.django_db(transaction=True)
pytest_plugins = ("tests.fakes.fixtures",)


@pytest.fixture
def ollama(ollama_row):
    return health.check_runtime(ollama_row)


@pytest.fixture
def server(server_row):
    return health.check_runtime(server_row)


def carry_out(operation: Operation) -> Operation:
    claims.carry_out(operation.pk, activate.perform_activation)
    return operations.get_operation(operation.pk)


def activated(runtime: Runtime, model: str, actor) -> Operation:
    operation = activate.request_activation(runtime.name, model, actor=actor)
    return carry_out(operation)


def test_a_model_becomes_active_after_one_real_token(
    ollama, actor, published, practice_ollama
):
    before = policy_number()

    operation = activated(ollama, "gemma3:4b", actor)

    assert operation.status == OperationStatus.COMPLETED, operation.error
    asked = practice_ollama.state.last_bodies["/api/chat"]
    assert asked["options"] == {"num_predict": 1}
    active = Activation.objects.default().get()
    assert (active.model_name, active.runtime_id) == ("gemma3:4b", ollama.pk)
    assert active.operation_id == operation.pk
    assert policy_number() == before + 1
    assert Runtime.objects.get(pk=ollama.pk).last_model == "gemma3:4b"
    assert AuditEntry.objects.filter(verb="activation.commit").count() == 1
    lines = [line.line.partition(" took ")[0] for line in operation.lines.all()]
    assert lines[:3] == ["Checking", "Loading", "Confirming"]
    assert ("activation.changed", active_payload()) in published


def test_the_payload_has_every_field_of_the_contract(ollama, actor):
    activated(ollama, "gemma3:4b", actor)
    ollama.refresh_from_db()

    payload = active_payload()

    port, url = ollama.port, ollama.base_url
    text = f"ollama|{url}|gemma3:4b"
    assert payload == {
        "provider": "ollama",
        "model": "gemma3:4b",
        "endpoint": url,
        "endpoint_host": "127.0.0.1",
        "endpoint_port": port,
        "service_type": "local",
        "mode": "LOCAL",
        "label": f"gemma3:4b · Ollama @ {port}",
        "config_hash": hashlib.sha256(text.encode()).hexdigest()[:12],
        "runtime_id": f"ollama@{url}",
        "status": "online",
        "error": None,
        "served_name": "gemma3:4b",
        "expected_name": "gemma3:4b",
        "alias_ok": True,
        "node": "test-node",
        "last_models": {"ollama": "gemma3:4b"},
        "previous_models": {},
    }
    assert (chip().state, chip().model, chip().port) == ("online", "gemma3:4b", port)


def test_with_nothing_active_the_payload_has_the_same_fields_all_null(db):
    payload = active_payload()

    remembered = {"last_models": {}, "previous_models": {}}
    assert remembered.items() <= payload.items()
    rest = {v for k, v in payload.items() if k not in remembered}
    assert len(payload) == 18
    assert rest == {None}
    assert chip().state == "none"


def test_a_model_that_the_server_drops_is_an_alias_that_is_not_all_right(
    ollama, actor, practice_ollama
):
    activated(ollama, "gemma3:4b", actor)
    practice_ollama.state.remove_model("gemma3:4b")
    health.check_node()

    payload = active_payload()

    assert payload["alias_ok"] is False
    assert (payload["served_name"], payload["expected_name"]) == (None, "gemma3:4b")


def test_switching_remembers_the_former_model_and_the_former_runtime(
    ollama, server, actor, published
):
    activated(ollama, "gemma3:4b", actor)
    activated(ollama, "phi3:mini", actor)
    activated(server, "practice-7b", actor)

    assert Activation.objects.active().count() == 1
    assert active_payload()["provider"] == "practice"
    remembered = active_payload()
    assert remembered["last_models"] == {
        "ollama": "phi3:mini",
        "practice": "practice-7b",
    }
    assert remembered["previous_models"] == {"ollama": "gemma3:4b"}
    former = Activation.objects.filter(state="former")
    assert former.filter(ended_at__isnull=True).count() == 0
    told = [data["name"] for kind, data in published if kind == "runtime.changed"]
    assert {"ollama", "practice"} <= set(told[-2:]), "both cards are drawn anew"


def test_activating_what_is_active_confirms_it_again_and_changes_nothing(ollama, actor):
    activated(ollama, "gemma3:4b", actor)
    activated(ollama, "phi3:mini", actor)
    before = policy_number()

    operation = activated(ollama, "phi3:mini", actor)

    assert operation.status == OperationStatus.COMPLETED
    assert Activation.objects.count() == 2
    assert policy_number() == before
    assert active_payload()["previous_models"] == {"ollama": "gemma3:4b"}


def test_running_twice_after_a_death_behind_the_commit_leaves_one_activation(
    ollama, actor
):
    operation = activate.request_activation("ollama", "gemma3:4b", actor=actor)
    work = claims.claim(operation.pk)
    activate.perform_activation(work)  # and the worker dies before it says so
    claims.give_back(operation.pk, work.token, "interrupted")

    again = carry_out(operation)

    assert again.status == OperationStatus.COMPLETED
    assert Activation.objects.count() == 1


def test_a_model_that_the_server_lacks_is_refused_before_anything_is_written(
    ollama, actor
):
    with pytest.raises(ModelNotInstalled) as refusal:
        activate.request_activation("ollama", "llama3:70b", actor=actor)

    assert refusal.value.code == "model_not_installed"
    assert "llama3:70b" in str(refusal.value)
    assert ollama.base_url in str(refusal.value)
    assert not Operation.objects.exists()


def test_a_model_pulled_since_the_last_check_is_found_by_asking(
    ollama, actor, practice_ollama
):
    practice_ollama.state.add_model("qwen3:0.6b")

    operation = activated(ollama, "qwen3:0.6b", actor)

    assert operation.status == OperationStatus.COMPLETED


def test_the_latest_tag_may_be_left_out(ollama, actor, practice_ollama):
    practice_ollama.state.add_model("mistral")
    health.check_node()

    operation = activated(ollama, "mistral", actor)

    assert operation.model_name == "mistral:latest"
    assert active_payload()["expected_name"] == "mistral:latest"


def test_a_runtime_nobody_knows_and_one_outside_the_profile(ollama, actor, settings):
    with pytest.raises(VenomError) as unknown:
        activate.request_activation("nowhere", "m", actor=actor)
    assert (unknown.value.code, unknown.value.http_status) == ("unknown_runtime", 422)

    with pytest.raises(OutsideProfile) as outside:
        activate.request_activation("vllm", "m", actor=actor)
    assert outside.value.extras["profiles_with_it"] == ["full"]

    settings.RUNTIME_PROFILE = "llm_off"
    with pytest.raises(OutsideProfile):
        activate.request_activation("ollama", "gemma3:4b", actor=actor)


def test_only_now_can_be_chosen(ollama, actor):
    with pytest.raises(InvalidBody) as refusal:
        activate.request_activation("ollama", "gemma3:4b", actor=actor, when="idle")
    assert refusal.value.extras["errors"][0]["loc"] == "body.when"


def test_the_same_wish_joins_and_another_one_names_the_holder(ollama, actor):
    first = activate.request_activation("ollama", "gemma3:4b", actor=actor)
    same = activate.request_activation("ollama", "gemma3:4b", actor=actor)
    assert same.pk == first.pk

    with pytest.raises(OperationConflict) as refusal:
        activate.request_activation("ollama", "phi3:mini", actor=actor)
    assert refusal.value.extras["operation_id"] == str(first.pk)


@pytest.mark.parametrize(
    ("path", "fault", "code"),
    [
        ("/api/tags", "status:500", "runtime_offline"),
        ("/api/chat", "status:500", "load_failed"),
        ("/api/chat", "cut_mid_line", "load_failed"),
        ("/api/chat", "garbage", "load_failed"),
    ],
)
def test_any_failure_leaves_the_former_activation_and_names_all_three(
    ollama, server, actor, practice_ollama, path, fault, code
):
    activated(server, "practice-7b", actor)
    practice_ollama.state.faults.plan(path, fault)
    before = policy_number()

    operation = activated(ollama, "gemma3:4b", actor)

    assert operation.status == OperationStatus.FAILED
    assert operation.error_code == code
    for part in ("gemma3:4b", "Ollama", ollama.base_url):
        assert part in operation.error
    assert active_payload()["model"] == "practice-7b"
    assert policy_number() == before


def test_a_server_that_refuses_the_token_is_not_made_active(
    server, actor, practice_openai
):
    practice_openai.state.faults.plan("/v1/chat/completions", "status:404")

    operation = activated(server, "practice-7b", actor)

    assert operation.error_code == "confirmation_failed"
    assert not Activation.objects.exists()


@pytest.mark.slow
def test_a_server_that_dies_during_the_confirmation(server, actor, practice_openai):
    practice_openai.state.faults.plan("/v1/chat/completions", "stall_before_first_byte")
    operation = activate.request_activation("practice", "practice-7b", actor=actor)
    worker = threading.Thread(target=carry_out, args=(operation,))
    worker.start()
    wait_until(lambda: practice_openai.state.requests["/v1/chat/completions"])

    practice_openai.stop()

    worker.join(timeout=10)
    ended = operations.get_operation(operation.pk)
    assert (ended.status, ended.error_code) == ("failed", "confirmation_failed")
    assert not Activation.objects.exists()


@pytest.mark.slow
def test_a_model_that_loads_too_long_ends_at_the_deadline(
    ollama, actor, practice_ollama, impatient
):
    impatient(0.5)
    practice_ollama.state.load_seconds = 30

    operation = activated(ollama, "gemma3:4b", actor)

    assert operation.error_code == "load_failed"
    assert "did not answer in time" in operation.error


@pytest.mark.slow
def test_a_cancel_during_a_long_load_frees_the_server_within_two_seconds(
    ollama, actor, practice_ollama
):
    practice_ollama.state.load_seconds = 60
    operation = activate.request_activation("ollama", "gemma3:4b", actor=actor)
    worker = threading.Thread(target=carry_out, args=(operation,))
    worker.start()
    wait_until(lambda: practice_ollama.state.requests["/api/chat"])

    operations.cancel_operation(operations.get_operation(operation.pk), actor=actor)

    worker.join(timeout=2.5)
    assert not worker.is_alive()
    assert operations.get_operation(operation.pk).status == OperationStatus.CANCELLED
    wait_until(lambda: practice_ollama.state.cancelled == 1)
    assert not Activation.objects.exists()


def test_a_worker_that_lost_its_claim_commits_nothing(ollama, actor):
    operation = activate.request_activation("ollama", "gemma3:4b", actor=actor)
    work = claims.claim(operation.pk)
    claims.give_back(operation.pk, work.token, "interrupted")

    with pytest.raises(Fenced):
        activate.perform_activation(work)

    assert not Activation.objects.exists()


def test_a_wish_to_cancel_that_comes_before_the_commit_wins(ollama, actor):
    operation = activate.request_activation("ollama", "gemma3:4b", actor=actor)
    work = claims.claim(operation.pk)
    Operation.objects.update(cancel_requested=True)

    with pytest.raises(Cancelled):
        activate.perform_activation(work)

    assert not Activation.objects.exists()


def test_the_keep_alive_setting_travels_to_ollama(
    ollama, actor, practice_ollama, settings
):
    from runtime_app.runtimes import registry

    registry.close_all()
    settings.ENV = settings.ENV.model_copy(update={"LLM_KEEP_ALIVE": "10m"})

    activated(ollama, "gemma3:4b", actor)

    assert practice_ollama.state.last_bodies["/api/chat"]["keep_alive"] == "10m"


def test_what_has_proved_itself_is_online_even_before_the_first_health_check(
    ollama, actor
):
    Runtime.objects.update(status="unknown", served_models=[])

    activated(ollama, "gemma3:4b", actor)

    payload = active_payload()
    assert payload["status"] == "online"
    assert payload["served_name"] == "gemma3:4b"
    assert payload["alias_ok"] is True
