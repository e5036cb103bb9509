"""The acceptance run: what a model did when it was tried, kept as evidence."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from models_app.models import Capabilities, Operation
from models_app.providers.base import Description, FoundModel
from models_app.schemas.capabilities import CapabilitiesBody, capabilities_payload
from models_app.services import operations, targets
from models_app.services.capabilities import note_probed, set_capabilities
from models_app.services.registering import register
from runtime_app import tasks
from runtime_app.models import Runtime, Trial
from runtime_app.monitoring import health
from runtime_app.services import trials
from tests.factories import (
    CapabilitiesFactory,
    InstalledModelFactory,
    OperationFactory,
)
from venom_site.lib.errors import (
    IncompatibleRuntime,
    ModelNotInstalled,
    NotFound,
    OperationConflict,
)

pytestmark = pytest.mark.django_db(transaction=True)
pytest_plugins = ("tests.fakes.fixtures",)

CHAT = "/v1/chat/completions"
MODEL = "gemma3:4b"


@pytest.fixture
def gemma(ollama):
    said = CapabilitiesFactory(
        model=InstalledModelFactory(name=MODEL),
        supports_system_role=False,
        allowed_roles=["user", "assistant"],
    )
    return said.model


def carry_out(operation: Operation) -> Operation:
    tasks.run_trial(str(operation.pk))
    return operations.get_operation(operation.pk)


def tried(runtime: Runtime, model: str, actor) -> Operation:
    operation = trials.request_trial(model, runtime=runtime.name, actor=actor)
    return carry_out(operation)


def evidence(runtime: Runtime, model: str) -> dict[str, dict]:
    trial = trials.latest_trial(runtime, model)
    assert trial is not None
    return {check["name"]: check for check in trial.checks}


def said_of(runtime: Runtime, model: str) -> dict[str, bool | None]:
    return {name: check["ok"] for name, check in evidence(runtime, model).items()}


def test_a_good_server_passes_every_check(server, actor, practice_openai):
    practice_openai.state.tokens_per_second = 2000

    done = tried(server, "practice-7b", actor)

    assert done.status == "completed", done.error
    found = evidence(server, "practice-7b")
    assert {name: check["ok"] for name, check in found.items()} == {
        "first_token": True,
        "speed": True,
        "system_role": True,
        "json_mode": True,
        "tool_call": True,
    }, found
    trial = Trial.objects.get()
    assert trial.ttft_seconds > 0
    assert trial.output_tokens_per_second > 0
    assert trial.runtime_version == server.version
    assert [step.state for step in done.steps] == ["done"] * 5
    assert trial.operation_id == done.pk


def test_speed_goes_by_the_usage_block(server, actor, practice_openai):
    practice_openai.state.tokens_per_second = 2000
    practice_openai.state.answer_tokens = 50

    tried(server, "practice-7b", actor)

    assert evidence(server, "practice-7b")["speed"]["words"].startswith("50 tokens")


def test_what_a_server_refuses_is_a_no_in_its_own_words(server, actor, practice_openai):
    practice_openai.state.system_role = False
    practice_openai.state.valid_json = False
    practice_openai.state.tools = "refused"

    done = tried(server, "practice-7b", actor)

    assert done.status == "completed", done.error
    found = evidence(server, "practice-7b")
    assert found["system_role"]["ok"] is False
    assert "System role not supported" in found["system_role"]["words"]
    assert found["json_mode"]["ok"] is False
    assert found["tool_call"]["ok"] is False
    assert "--enable-auto-tool-choice" in found["tool_call"]["words"]


def test_tools_that_are_answered_in_words_were_not_called(
    server, actor, practice_openai
):
    practice_openai.state.tools = "ignored"

    tried(server, "practice-7b", actor)

    found = evidence(server, "practice-7b")["tool_call"]
    assert found["ok"] is False
    assert "called no tool" in found["words"]


def test_a_check_that_hangs_could_not_be_tried_and_the_others_go_on(
    server, actor, practice_openai, impatient
):
    impatient(1)
    faults = practice_openai.state.faults
    faults.plan(CHAT, "slow_headers:0", times=3)  # first token and speed go well
    faults.plan(CHAT, "stall_before_first_byte")

    done = tried(server, "practice-7b", actor)

    assert done.status == "completed", done.error
    found = evidence(server, "practice-7b")
    assert found["system_role"]["ok"] is None
    assert (
        "in time" in found["system_role"]["words"]
        or "within" in (found["system_role"]["words"])
    )
    assert found["json_mode"]["ok"] is True


def test_a_stream_that_trickles_for_ever_ends_at_its_deadline(
    server, actor, practice_openai, impatient
):
    impatient(1)
    practice_openai.state.faults.plan(CHAT, "slow_headers:0", times=2)
    practice_openai.state.faults.plan(CHAT, "stall_mid_stream")

    tried(server, "practice-7b", actor)

    assert said_of(server, "practice-7b")["speed"] is None


def test_without_a_first_token_nothing_else_is_tried(
    server, actor, practice_openai, impatient
):
    impatient(1)
    practice_openai.state.faults.plan(CHAT, "status:500", times=0)

    done = tried(server, "practice-7b", actor)

    assert (done.status, done.error_code) == ("failed", "trial_failed")
    found = evidence(server, "practice-7b")
    assert {check["ok"] for check in found.values()} == {None}
    assert "no first token" in found["tool_call"]["words"]
    assert practice_openai.state.requests[CHAT] == 1


@pytest.mark.parametrize("fault", ["garbage", "html:200", "cut_after_tokens:1"])
def test_nonsense_on_the_wire_is_never_a_defect(server, actor, practice_openai, fault):
    practice_openai.state.faults.plan(CHAT, "slow_headers:0", times=3)
    practice_openai.state.faults.plan(CHAT, fault, times=0)

    done = tried(server, "practice-7b", actor)

    assert done.status == "completed", done.error
    found = said_of(server, "practice-7b")
    assert found["system_role"] is found["json_mode"] is found["tool_call"] is None


def test_a_server_that_is_gone_ends_the_run_with_its_name(
    server, actor, practice_openai
):
    operation = trials.request_trial("practice-7b", runtime="practice", actor=actor)
    practice_openai.stop()

    done = carry_out(operation)

    assert (done.status, done.error_code) == ("failed", "runtime_offline")
    assert not Trial.objects.exists()


# Ollama, and what the evidence drives


def test_what_was_proved_stands_before_what_was_declared(gemma, ollama, actor):
    done = tried(ollama, MODEL, actor)

    assert done.status == "completed", done.error
    assert Trial.objects.get().revision == gemma.short_digest
    said = Capabilities.objects.get(model=gemma)
    assert said.supports_system_role is True
    assert said.allowed_roles == ["system", "user", "assistant"]
    payload = capabilities_payload(gemma, said)
    assert payload["source"] == "probed"
    assert payload["sources"]["supports_system_role"] == "probed"
    assert payload["sources"]["max_context_length"] == "declared"


def test_a_model_without_tools_is_known_to_have_none(gemma, ollama, actor):
    tried(ollama, MODEL, actor)

    found = evidence(ollama, MODEL)["tool_call"]
    assert found["ok"] is False, found
    assert Capabilities.objects.get(model=gemma).supports_function_calling is False


def test_what_a_person_set_stays(gemma, ollama, actor):
    set_capabilities(gemma, CapabilitiesBody(supports_system_role=False), actor=actor)

    tried(ollama, MODEL, actor)

    said = Capabilities.objects.get(model=gemma)
    assert said.supports_system_role is False
    assert said.allowed_roles == ["user", "assistant"]
    assert said.supports_chat is True
    told = capabilities_payload(gemma, said)
    assert told["source"] == told["sources"]["supports_system_role"] == "manual"
    assert told["sources"]["supports_chat"] == "probed"


def test_a_proof_of_no_system_role_takes_it_from_the_roles(gemma):
    Capabilities.objects.update(allowed_roles=["system", "user", "assistant"])

    note_probed(gemma, {"supports_system_role": False})

    said = Capabilities.objects.get(model=gemma)
    assert said.supports_system_role is False
    assert said.allowed_roles == ["user", "assistant"]


def test_a_new_look_into_the_store_keeps_what_was_proved_of_the_same_bytes(gemma):
    note_probed(gemma, {"supports_system_role": True})
    found = FoundModel(name=gemma.name, digest=gemma.digest, size_bytes=9)
    declared = Description(
        supports_chat=True, supports_system_role=False, context_length=8192
    )

    register(gemma.node, found, provider="ollama", description=declared)

    said = Capabilities.objects.get(model=gemma)
    assert said.supports_system_role is True
    gemma.refresh_from_db()
    told = capabilities_payload(gemma, said)["sources"]
    assert told["supports_system_role"] == "probed"
    assert told["supports_chat"] == told["max_context_length"] == "declared"

    other = FoundModel(name=gemma.name, digest="f" * 64, size_bytes=9)
    register(gemma.node, other, provider="ollama", description=declared)

    said = Capabilities.objects.get(model=gemma)
    assert said.supports_system_role is False
    assert said.source == "declared"


def test_nothing_proved_changes_nothing(gemma):
    before = Capabilities.objects.get(model=gemma).updated_at

    note_probed(gemma, {})

    assert Capabilities.objects.get(model=gemma).updated_at == before


# Who may ask, and when it gives way


def test_it_gives_way_to_whoever_waits_for_the_runtimes(server, actor):
    operation = trials.request_trial("practice-7b", runtime="practice", actor=actor)
    assert operation.lock_key == targets.runtimes_lock(server.node)
    OperationFactory(
        operation_type="activate",
        node=server.node,
        model_name="phi3:mini",
        lock_key=operation.lock_key,
        created_at=timezone.now() + timedelta(seconds=1),
    )

    done = carry_out(operation)

    assert (done.status, done.error_code) == ("failed", "gave_way")
    assert "phi3:mini" in done.error
    assert not Trial.objects.exists()


def test_the_same_wish_joins_and_another_model_does_not_conflict(ollama, actor):
    first = trials.request_trial(MODEL, runtime="ollama", actor=actor)

    assert trials.request_trial(MODEL, runtime="ollama", actor=actor) == first
    assert trials.request_trial("phi3:mini", runtime="ollama", actor=actor) != first


def test_what_is_not_there_cannot_be_tried(ollama, actor):
    with pytest.raises(ModelNotInstalled):
        trials.request_trial("llama3:70b", runtime="ollama", actor=actor)
    with pytest.raises(NotFound):
        trials.request_trial("../etc", runtime="ollama", actor=actor)
    OperationFactory(
        operation_type="remove", provider="ollama", model_name=MODEL, node=ollama.node
    )
    with pytest.raises(OperationConflict):
        trials.request_trial(MODEL, runtime="ollama", actor=actor)
    assert Operation.objects.count() == 1


def test_what_cannot_chat_is_not_tried(ollama, actor, practice_ollama):
    practice_ollama.state.add_model("nomic-embed-text")
    health.check_runtime(ollama)

    with pytest.raises(IncompatibleRuntime):
        trials.request_trial("nomic-embed-text", runtime="ollama", actor=actor)


def test_a_second_run_of_the_same_operation_is_the_same_row(server, actor):
    done = tried(server, "practice-7b", actor)
    Operation.objects.filter(pk=done.pk).update(status="pending", phase="queued")

    carry_out(done)

    assert Trial.objects.count() == 1


def test_only_the_last_ten_are_kept(server, actor):
    for _ in range(12):
        Trial.objects.create(
            node=server.node, runtime="practice", model_name="practice-7b"
        )

    tried(server, "practice-7b", actor)

    assert Trial.objects.count() == trials.KEPT
    assert trials.latest_trial(server, "practice-7b").checks


# The calls and the card


def test_the_calls_start_a_run_and_show_its_evidence(gemma, ollama, api_client):
    client = api_client("operate")
    url = f"/api/v1/models/{MODEL}/trial"
    assert client.get(url).json()["trial"] is None

    answer = client.post(url, {}, "application/json")

    assert answer.status_code == 202, answer.content
    carry_out(operations.get_operation(answer.json()["operation_id"]))
    body = client.get(f"/api/v1/models/{MODEL.replace(':', '%3A')}/trial").json()
    assert body["runtime"] == "ollama"
    assert body["trial"]["is_current"] is True
    assert body["trial"]["ttft_ms"] > 0
    assert [check["name"] for check in body["trial"]["checks"]] == [
        "first_token",
        "speed",
        "system_role",
        "json_mode",
        "tool_call",
    ]
    Runtime.objects.update(version="0.40.0")
    assert client.get(url).json()["trial"]["is_current"] is False


def test_bad_wishes_are_clear_refusals(ollama, api_client):
    client = api_client("operate")

    def code(url, body=None):
        answer = client.post(f"/api/v1/models/{url}", body, "application/json")
        return answer.status_code, answer.json()["code"]

    assert code("nobody-has/this/trial") == (409, "model_not_installed")
    assert code(f"{MODEL}/trial", {"runtime": "moon"}) == (422, "unknown_runtime")
    assert code(f"{MODEL}/trial", {"wait_seconds": 999}) == (422, "invalid_body")
    assert code("a%2F..%2Fb/trial") == (404, "not_found")
    assert client.get("/api/v1/models/nobody-has-this/trial").status_code == 404


def test_the_card_offers_a_trial_and_then_shows_the_evidence(
    gemma, ollama, page_client
):
    client = page_client("Operator")
    page = client.get(f"/models/ollama/{MODEL}/").content.decode()
    assert f'hx-get="/runtimes/ollama/trial/?model={MODEL}"' in page.replace("%3A", ":")
    card = client.get("/runtimes/ollama/trial/", {"model": MODEL}).content.decode()
    assert "Try it out" in card

    sent = client.post("/runtimes/ollama/trial/run/", {"model": MODEL})

    assert sent.status_code == 302
    carry_out(Operation.objects.get())
    card = client.get("/runtimes/ollama/trial/", {"model": MODEL}).content.decode()
    assert "called the tool" in card or "does not support tools" in card
    assert "Try it out" in card


def test_an_install_offers_a_trial_as_its_next_step(ollama, page_client):
    done = OperationFactory(
        operation_type="install",
        completed=True,
        node=ollama.node,
        runtime="ollama",
        model_name=MODEL,
    )
    url = f"/operations/{done.pk}/"

    assert "Try it out" in page_client("Operator").get(url).content.decode()
    assert "Try it out" not in page_client("Viewer").get(url).content.decode()
    assert not Operation.objects.open().exists()


def test_a_reader_sees_the_evidence_and_no_button(gemma, ollama, page_client):
    client = page_client("Viewer")

    card = client.get("/runtimes/ollama/trial/", {"model": MODEL}).content.decode()

    assert "has not been tried" in card
    assert "Try it out" not in card
    unknown = client.get("/runtimes/ollama/trial/", {"model": "x/y"})
    assert unknown.status_code == 404
