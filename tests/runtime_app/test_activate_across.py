"""Activation across servers: cold starts, restarts, and the way back from faults."""

from __future__ import annotations

import socket
import threading

import pytest

from models_app.models import Operation
from models_app.services import operations
from runtime_app.models import Activation, Alert, Drain, GatewayPresence
from runtime_app.runtimes.registry import adapter_for
from runtime_app.services import activate
from runtime_app.services.activation_plan import activation_preview, plan_for
from runtime_app.services.active import active_payload
from tests.fakes.waiting import wait_until
from tests.runtime_app.switches import activated, carry_out, fresh, living, log_of
from venom_site.lib.errors import (
    IncompatibleRuntime,
    ModelNotInstalled,
    SeveralRevisions,
    VenomError,
)

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
pytest_plugins = ("tests.fakes.fixtures", "tests.runtime_app.switch_fixtures")

_DEEP = pytest.mark.deep
GOOD, OTHER, BAD = "acme/good-7b", "acme/other-7b", "acme/bad-7b"


def served(vllm) -> list[str]:
    return [entry["name"] for entry in adapter_for(vllm).list_models()]


def in_memory(practice_ollama) -> set[str]:
    return {entry.model.name for entry in practice_ollama.state.loaded()}


def test_a_server_that_is_not_running_is_started_with_the_model(vllm, hub_model, actor):
    model = hub_model(GOOD)

    operation = activated(vllm, GOOD, actor)

    assert operation.status == "completed", operation.error
    assert [step.name for step in operation.steps] == [
        "checking", "configuring", "starting", "confirming", "committing", "releasing",
    ]  # fmt: skip
    assert {step.state for step in operation.steps} == {"done"}
    active = Activation.objects.default().get()
    assert (active.model_name, active.installed_model) == (GOOD, model)
    row = fresh(vllm)
    assert (row.status, row.launch["model"]) == ("online", model.path)
    assert served(vllm) == [GOOD]
    assert not operation.checkpoint["undo"]
    assert "served name: not set → acme/good-7b." in log_of(operation)


def test_from_ollama_to_vllm_to_another_model_and_back(
    vllm, hub_model, ollama, actor, practice_ollama
):
    hub_model(GOOD), hub_model(OTHER)
    assert activated(ollama, "gemma3:4b", actor).status == "completed"

    first = activated(vllm, GOOD, actor)
    assert first.status == "completed", first.error
    assert in_memory(practice_ollama) == set(), "one runtime is active at a time"
    pid = fresh(vllm).pid

    second = activated(vllm, OTHER, actor)
    assert second.status == "completed", second.error
    assert "stopping" in [step.name for step in second.steps]
    assert (served(vllm), active_payload()["model"]) == ([OTHER], OTHER)
    assert fresh(vllm).pid != pid

    back = activated(ollama, "gemma3:4b", actor)
    assert back.status == "completed", back.error
    assert active_payload()["provider"] == "ollama"
    assert fresh(vllm).status == "offline"
    assert not living()
    assert not Drain.objects.exists()
    assert active_payload()["last_models"] == {"ollama": "gemma3:4b", "vllm": OTHER}


@pytest.mark.parametrize(
    ("tricks", "code"),
    [
        pytest.param({"fail": "bad_weights"}, "start_failed", marks=_DEEP),
        pytest.param({"fail": "out_of_memory"}, "start_failed", marks=_DEEP),
        pytest.param({"start_seconds": 60}, "start_failed", marks=_DEEP),
        ({"served_names": ["quite-another"]}, "start_failed"),
        ({"freeze": True}, "confirmation_failed"),
    ],
    ids=["weights", "memory", "timeout", "alias", "freeze"],
)
def test_whatever_fails_the_last_good_model_answers_again(
    vllm, hub_model, actor, settings, tricks, code
):
    good = hub_model(GOOD)
    hub_model(BAD, **tricks)
    assert activated(vllm, GOOD, actor).status == "completed"
    settings.ENV = settings.ENV.model_copy(
        update={
            "VLLM_START_TIMEOUT_SECONDS": 4 if "start_seconds" in tricks else 20,
            "VENOM_FIRST_BYTE_SECONDS_LOCAL": 2,
        }
    )

    operation = activated(vllm, BAD, actor)

    assert (operation.status, operation.error_code) == ("failed", code), operation.error
    assert f"Back to {GOOD} on vLLM" in log_of(operation)
    assert (served(vllm), active_payload()["model"]) == ([GOOD], GOOD)
    assert fresh(vllm).launch["model"] == good.path
    alert = Alert.objects.get(code="activation_failed")
    assert (alert.model, alert.runtime, alert.endpoint) == (BAD, "vllm", vllm.base_url)
    assert not Drain.objects.exists()
    assert not operation.checkpoint["undo"]


def test_a_cold_start_that_fails_leaves_the_other_server_as_it_was(
    vllm, hub_model, ollama, actor, practice_ollama
):
    hub_model(BAD, fail="bad_weights")
    activated(ollama, "gemma3:4b", actor)

    operation = activated(vllm, BAD, actor)

    assert operation.error_code == "start_failed"
    assert "SafetensorError" in operation.error
    assert in_memory(practice_ollama) == {"gemma3:4b"}
    assert active_payload()["model"] == "gemma3:4b"
    assert not living()


def test_a_way_back_that_fails_says_so_in_error_and_alert(
    vllm, hub_model, actor, tmp_path
):
    good = hub_model(GOOD)
    hub_model(BAD, fail="bad_weights")
    activated(vllm, GOOD, actor)
    tricks = tmp_path / "models" / "acme_good-7b@a1a1a1a1" / "practice.json"
    tricks.write_text('{"fail": "out_of_memory"}')

    operation = activated(vllm, BAD, actor)

    assert operation.error_code == "start_failed"
    assert "SafetensorError" in operation.error
    assert f"{GOOD} on vLLM" in operation.error
    assert "could not be brought back" in operation.error
    alert = Alert.objects.get(code="activation_failed")
    assert "could not be brought back" in alert.message
    assert good.path in str(fresh(vllm).launch)
    assert not living()


# Refusals: nothing is written, nothing is stopped


def refusal(runtime, model, actor, **how) -> VenomError:
    with pytest.raises(VenomError) as caught:
        activate.request_activation(runtime.name, model, actor=actor, **how)
    assert not Operation.objects.exists()
    return caught.value


def test_what_cannot_be_started_is_refused_with_what_is_missing(
    vllm, hub_model, ollama, actor, settings
):
    assert isinstance(refusal(vllm, "acme/unknown", actor), ModelNotInstalled)
    assert isinstance(refusal(vllm, "gemma3:4b", actor), VenomError)
    hub_model(GOOD)
    assert isinstance(refusal(ollama, GOOD, actor), IncompatibleRuntime)
    hub_model(GOOD, revision="b2" * 20)
    assert isinstance(refusal(vllm, GOOD, actor), SeveralRevisions)

    absent = {"VLLM_COMMAND": "venom-practice-absent"}
    settings.ENV = settings.ENV.model_copy(update=absent)
    missing = refusal(vllm, GOOD, actor)
    assert missing.code == "runtime_offline"
    assert "venom-practice-absent" in str(missing)


def test_a_folder_that_is_gone_is_refused_before_anything_is_stopped(
    vllm, hub_model, actor
):
    activated_model = hub_model(GOOD)
    activated_model.path += "-gone"
    activated_model.save()

    assert refusal(vllm, GOOD, actor).code == "model_folder_missing"


def test_a_port_that_another_process_holds_is_refused_with_its_owner(
    vllm, hub_model, actor
):
    hub_model(GOOD)
    with socket.socket() as foreign:
        foreign.bind(("127.0.0.1", vllm.port))
        foreign.listen()

        error = refusal(vllm, GOOD, actor)

    assert error.code == "not_ours"
    assert error.extras["holder"]["pid"]
    assert not living()


def test_every_call_that_switches_takes_a_server_that_is_stopped(
    vllm, hub_model, ollama, actor, api_client
):
    hub_model(GOOD), hub_model(OTHER)
    program = api_client("operate")

    def post(path, **body):
        return program.post(f"/api/v1{path}", body, content_type="application/json")

    body = {"server_name": "vllm", "model": GOOD, "when": "idle", "relief": "auto"}
    answer = post("/system/llm-servers/active", **body)
    assert answer.status_code == 202, answer.json()
    assert "starting" in [step["step"] for step in answer.json()["plan"]]
    operation = Operation.objects.get()
    assert operation.model_name == GOOD
    assert operation.params["when"] == "idle"
    assert operation.params["relief"] == "auto"
    assert carry_out(operation).status == "completed"

    answer = post("/models/switch", name=OTHER)
    assert answer.status_code == 202, answer.json()
    assert (answer.json()["plan"][1]["step"], OTHER) == ("draining", OTHER)
    other = post("/models/activate", name=GOOD, runtime="vllm")
    assert (other.status_code, other.json()["code"]) == (409, "operation_conflict")


def test_idle_waits_for_what_runs_before_it_stops_anything(vllm, hub_model, actor):
    hub_model(GOOD), hub_model(OTHER)
    activated(vllm, GOOD, actor)
    pid = fresh(vllm).pid
    gateway = GatewayPresence.objects.create(
        node=vllm.node, process="gateway", in_flight={f"vllm|{GOOD}": 1}
    )
    operation = activate.request_activation("vllm", OTHER, actor=actor, when="idle")
    worker = threading.Thread(target=carry_out, args=(operation,))
    worker.start()
    wait_until(lambda: operations.get_operation(operation.pk).phase == "draining")

    assert fresh(vllm).pid == pid
    assert served(vllm) == [GOOD]
    gateway.delete()

    worker.join(timeout=60)
    assert operations.get_operation(operation.pk).status == "completed"
    assert served(vllm) == [OTHER]


# The plan


def test_the_preview_shows_plan_diff_and_what_else_happens(
    vllm, hub_model, ollama, actor
):
    hub_model(GOOD), hub_model(OTHER)
    activated(ollama, "gemma3:4b", actor)

    cold = activation_preview(fresh(vllm), GOOD)
    assert (cold.now_runtime, cold.after_runtime) == ("Ollama", "vLLM")
    changes = {change.name: (change.before, change.after) for change in cold.changes}
    assert changes["VLLM_ACTIVE_MODEL"] == ("", GOOD)
    assert changes["ACTIVE_LLM_SERVER"] == ("ollama", "vllm")
    assert changes["served name"] == ("", GOOD)
    assert "gemma3:4b on Ollama answers again by itself." in cold.if_it_fails
    assert cold.expected_seconds is None

    activated(vllm, GOOD, actor)
    warm = activation_preview(fresh(vllm), OTHER)
    assert [step.name for step in warm.steps] == [
        "checking", "draining", "configuring", "stopping", "starting", "confirming",
        "committing", "releasing",
    ]  # fmt: skip
    assert warm.switches == 1
    assert warm.expected_seconds is not None
    assert "vLLM restarts" in " ".join(warm.effects)
    changes = {change.name: (change.before, change.after) for change in warm.changes}
    assert changes["served name"] == (GOOD, OTHER)
    steps = [entry["step"] for entry in plan_for(fresh(vllm), OTHER)]
    assert steps == [step.name for step in warm.steps]

    blocked = activation_preview(fresh(vllm), "acme/unknown")
    assert (blocked.blocked_code, blocked.steps) == ("model_not_installed", ())
