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
from runtime_app.models import Activation, Alert, Runtime
from runtime_app.monitoring import health
from runtime_app.runtimes.registry import adapter_for
from runtime_app.services import activate, activating, former_activation, switch
from runtime_app.services.activation_plan import plan_for
from runtime_app.services.active import active_payload, chip
from tests.factories import (
    CapabilitiesFactory,
    InstalledModelFactory,
    OperationFactory,
)
from tests.fakes.waiting import wait_until
from venom_site.lib.errors import (
    IncompatibleRuntime,
    InvalidBody,
    ModelNotInstalled,
    OperationConflict,
    OutsideProfile,
    VenomError,
)

pytestmark = pytest.mark.django_db(transaction=True)
pytest_plugins = ("tests.fakes.fixtures",)


def carry_out(operation: Operation) -> Operation:
    claims.carry_out(operation.pk, activating.perform_activation)
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
    assert lines[-2].startswith("gemma3:4b answers, after ")
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
    activating.perform_activation(work)  # and the worker dies before it says so
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


def test_only_now_and_idle_can_be_chosen(ollama, actor):
    with pytest.raises(InvalidBody) as refusal:
        activate.request_activation("ollama", "gemma3:4b", actor=actor, when="later")
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
    assert policy_number() == before + 1, "of the alert alone"


def test_a_failure_is_an_alert_until_the_same_model_becomes_active(
    server, actor, practice_openai
):
    practice_openai.state.faults.plan("/v1/chat/completions", "status:500")
    operation = activated(server, "practice-7b", actor)
    alert = Alert.objects.get()
    assert (alert.code, alert.state) == ("activation_failed", "open")
    assert (alert.model, alert.runtime) == ("practice-7b", server.name)
    assert alert.endpoint == server.base_url
    assert alert.message == operation.error

    activated(server, "practice-7b", actor)

    alert.refresh_from_db()
    assert (alert.state, alert.closed_by) == ("closed", "system")


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
        activating.perform_activation(work)

    assert not Activation.objects.exists()


def test_a_wish_to_cancel_that_comes_before_the_commit_wins(ollama, actor):
    operation = activate.request_activation("ollama", "gemma3:4b", actor=actor)
    work = claims.claim(operation.pk)
    Operation.objects.update(cancel_requested=True)

    with pytest.raises(Cancelled):
        activating.perform_activation(work)

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


# What leaves memory and what comes back


def log_of(operation: Operation) -> str:
    return "\n".join(line.line for line in operation.lines.all())


def in_memory(practice_ollama) -> set[str]:
    return {entry.model.name for entry in practice_ollama.state.loaded()}


def test_the_former_model_leaves_memory_once_the_new_one_answers(
    ollama, actor, practice_ollama
):
    activated(ollama, "gemma3:4b", actor)

    operation = activated(ollama, "phi3:mini", actor)

    assert in_memory(practice_ollama) == {"phi3:mini"}
    assert [step.state for step in operation.steps] == ["done"] * 5
    assert "gemma3:4b has left the memory of Ollama" in log_of(operation)
    ollama.refresh_from_db()
    assert [entry["name"] for entry in ollama.loaded_models] == ["phi3:mini"]


def test_a_pinned_former_model_stays_in_memory(ollama, actor, practice_ollama):
    InstalledModelFactory(name="gemma3:4b", pinned=True)
    activated(ollama, "gemma3:4b", actor)

    activated(ollama, "phi3:mini", actor)

    assert in_memory(practice_ollama) == {"phi3:mini", "gemma3:4b"}
    assert practice_ollama.state.memory["gemma3:4b"].expires_at.year > 2200


def test_a_former_model_that_still_answers_does_not_hold_the_activation(
    ollama, actor, practice_ollama, monkeypatch
):
    monkeypatch.setattr(former_activation, "RELEASE_SECONDS", 0.2)
    activated(ollama, "gemma3:4b", actor)
    practice_ollama.state.memory["gemma3:4b"].users += 1

    operation = activated(ollama, "phi3:mini", actor)

    assert operation.status == OperationStatus.COMPLETED
    assert "It is still in memory after 0 s." in log_of(operation)


def test_a_second_run_after_the_commit_still_releases_the_former_model(
    ollama, actor, practice_ollama, monkeypatch
):
    activated(ollama, "gemma3:4b", actor)
    operation = activate.request_activation("ollama", "phi3:mini", actor=actor)
    work = claims.claim(operation.pk)
    with monkeypatch.context() as dying:
        dying.setattr(activating, "release", lambda *_: (_ for _ in ()).throw(OSError))
        with pytest.raises(OSError):
            activating.perform_activation(work)
    claims.give_back(operation.pk, work.token, "interrupted")
    assert in_memory(practice_ollama) == {"gemma3:4b", "phi3:mini"}

    carry_out(operation)

    assert in_memory(practice_ollama) == {"phi3:mini"}
    assert Activation.objects.count() == 2


def test_a_retry_does_not_release_what_was_active_long_ago(
    ollama, actor, practice_ollama
):
    practice_ollama.state.add_model("qwen3:0.6b")
    activated(ollama, "gemma3:4b", actor)
    practice_ollama.state.faults.plan("/api/chat", "status:500")
    failed = activated(ollama, "phi3:mini", actor)
    assert failed.status == OperationStatus.FAILED
    activated(ollama, "qwen3:0.6b", actor)
    adapter_for(ollama).load("gemma3:4b", seconds=5, check=lambda: None)

    operations.retry_operation(failed, actor=actor)
    again = carry_out(failed)

    assert again.status == OperationStatus.COMPLETED, again.error
    assert in_memory(practice_ollama) == {"gemma3:4b", "phi3:mini"}


def test_a_former_model_that_was_driven_out_comes_back_into_memory(
    ollama, actor, practice_ollama, monkeypatch
):
    activated(ollama, "gemma3:4b", actor)
    adapter = adapter_for(ollama)
    confirm = type(adapter).confirm

    def drives_out(self, model, **how):
        practice_ollama.state.memory.pop("gemma3:4b", None)
        practice_ollama.state.faults.plan("/api/chat", "status:500")
        return confirm(self, model, **how)

    monkeypatch.setattr(type(adapter), "confirm", drives_out)
    operation = activated(ollama, "phi3:mini", actor)

    assert operation.error_code == "confirmation_failed"
    assert "Back to gemma3:4b on Ollama" in log_of(operation)
    assert "gemma3:4b" in in_memory(practice_ollama)
    assert active_payload()["model"] == "gemma3:4b"


def test_a_former_model_that_was_not_loaded_is_not_loaded_by_a_failure(
    ollama, actor, practice_ollama
):
    activated(ollama, "gemma3:4b", actor)
    practice_ollama.state.memory.clear()
    practice_ollama.state.faults.plan("/api/chat", "status:500")

    operation = activated(ollama, "phi3:mini", actor)

    assert operation.status == OperationStatus.FAILED
    assert in_memory(practice_ollama) == set()


def test_a_cancel_has_the_former_model_brought_back_by_an_operation_of_its_own(
    ollama, actor, practice_ollama, monkeypatch
):
    activated(ollama, "gemma3:4b", actor)
    operation = activate.request_activation("ollama", "phi3:mini", actor=actor)
    work = claims.claim(operation.pk)

    def driven_out(runtime, model, *, check):
        practice_ollama.state.memory.clear()
        raise Cancelled

    monkeypatch.setattr(switch, "load_into_memory", driven_out)
    with pytest.raises(Cancelled):
        activating.perform_activation(work)

    back = Operation.objects.get(operation_type="load")
    assert (back.model_name, back.lock_key) == ("gemma3:4b", operation.lock_key)


def test_a_cancel_after_the_commit_comes_too_late(ollama, actor, monkeypatch):
    operation = activate.request_activation("ollama", "gemma3:4b", actor=actor)

    def cancelled(*_):
        raise Cancelled

    monkeypatch.setattr(activating, "release", cancelled)
    done = carry_out(operation)

    assert done.status == OperationStatus.COMPLETED
    assert "Too late to cancel" in log_of(done)


# Who can be made active


def test_a_model_that_only_embeds_is_refused_with_a_sentence(ollama, actor):
    CapabilitiesFactory(
        model__name="gemma3:4b", supports_chat=False, supports_embedding=True
    )

    with pytest.raises(IncompatibleRuntime) as refusal:
        activate.request_activation("ollama", "gemma3:4b", actor=actor)

    assert "cannot chat" in str(refusal.value)
    assert not Operation.objects.exists()


def test_one_that_nobody_has_described_yet_is_refused_by_the_servers_own_list(
    ollama, actor, practice_ollama
):
    practice_ollama.state.add_model("nomic-embed-text:latest")

    with pytest.raises(IncompatibleRuntime, match="cannot chat"):
        activate.request_activation("ollama", "nomic-embed-text", actor=actor)

    assert not Operation.objects.exists()


def test_one_of_an_old_server_that_says_nothing_fails_at_its_first_token(
    ollama, actor, practice_ollama
):
    practice_ollama.state.version = "0.16.3"
    practice_ollama.state.add_model("nomic-embed-text:latest")

    operation = activated(ollama, "nomic-embed-text", actor)

    assert (operation.status, operation.error_code) == ("failed", "confirmation_failed")
    assert "does not support chat" in operation.error
    assert not Activation.objects.exists()


def test_a_follow_up_of_an_install_that_only_embeds_ends_at_the_check(
    ollama, actor, practice_ollama
):
    practice_ollama.state.add_model("nomic-embed-text:latest")
    operation = OperationFactory(
        operation_type="activate",
        node=ollama.node,
        runtime="ollama",
        model_name="nomic-embed-text:latest",
        params={},
    )

    operation = carry_out(operation)

    assert operation.error_code == "incompatible_runtime"
    assert practice_ollama.state.loads == {}


def test_a_model_that_is_being_removed_is_not_made_active(ollama, actor):
    removal = OperationFactory(
        operation_type="remove", model_name="gemma3:4b", node=ollama.node
    )

    with pytest.raises(OperationConflict) as refusal:
        activate.request_activation("ollama", "gemma3:4b", actor=actor)

    assert refusal.value.extras["operation_id"] == str(removal.pk)


def test_an_ollama_that_is_too_old_is_not_made_active(ollama, actor, practice_ollama):
    practice_ollama.state.version = "0.12.0"

    operation = activated(ollama, "gemma3:4b", actor)

    assert operation.error_code == "incompatible_runtime"
    assert "0.16" in operation.error
    assert not Activation.objects.exists()


def test_a_follow_up_names_its_runtime_and_nothing_else(ollama, actor):
    operation = OperationFactory(
        operation_type="activate",
        node=ollama.node,
        runtime="ollama",
        provider="ollama",
        model_name="gemma3:4b",
        params={"model": "gemma3:4b"},
    )

    done = carry_out(operation)

    assert done.status == OperationStatus.COMPLETED, done.error
    assert active_payload()["model"] == "gemma3:4b"


def test_an_activation_points_at_the_installed_model(ollama, actor):
    model = InstalledModelFactory(name="gemma3:4b")
    activated(ollama, "gemma3:4b", actor)
    activated(ollama, "phi3:mini", actor)
    later = InstalledModelFactory(name="phi3:mini")

    health.check_node()

    active, former = Activation.objects.order_by("state")
    assert (active.installed_model, former.installed_model) == (later, model)


def test_the_plan_says_what_is_known_now(ollama, actor):
    steps = {s["step"]: s["title"] for s in plan_for(ollama, "gemma3:4b")}
    assert list(steps) == [
        "checking", "loading", "confirming", "committing", "releasing",
    ]  # fmt: skip
    assert "300 s" in steps["loading"]
    assert steps["releasing"] == "Nothing to unload"

    activated(ollama, "gemma3:4b", actor)
    ollama.refresh_from_db()

    steps = {s["step"]: s["title"] for s in plan_for(ollama, "gemma3:4b")}
    assert "in memory already" in steps["loading"]
    assert steps["releasing"] == "Nothing to unload"
    steps = {s["step"]: s["title"] for s in plan_for(ollama, "phi3:mini")}
    assert steps["releasing"].startswith("Unload gemma3:4b")
