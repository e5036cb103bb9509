"""The alias guard: seen at the next look, shown everywhere, repaired by one action."""

from __future__ import annotations

import pytest
from django.utils import timezone

from history_app.models import RequestRecord
from models_app.models import Operation
from models_app.services import claims, model_lists, operations, registry
from models_app.services.targets import runtimes_lock
from runtime_app.choices import ManagedBy, RuntimeKind
from runtime_app.gateway import snapshot
from runtime_app.gateway.routing import Asked, choose_route
from runtime_app.governance.policy import policy_number
from runtime_app.models import Activation, Alert, Runtime
from runtime_app.monitoring import alerts, health
from runtime_app.services import activate, activating, alias_guard
from runtime_app.services.active import active_payload, link_installed
from runtime_app.services.alias_guard import NothingToRepair
from tests.factories import InstalledModelFactory, OperationFactory, RuntimeFactory

pytestmark = pytest.mark.django_db(transaction=True)
pytest_plugins = ("tests.fakes.fixtures",)

REPO = "google/gemma-3-4b-it"
FOLDER = "hf/google/gemma-3-4b-it@abc"


@pytest.fixture(autouse=True)
def _nobody_asked():
    alias_guard._asked.clear()


@pytest.fixture
def vllm(db, practice_openai, settings):
    """A vLLM that publishes the repository's name for our folder."""
    settings.RUNTIME_PROFILE = "full"
    practice_openai.state.served[:] = [REPO]
    practice_openai.state.root = f"/srv/models/{FOLDER}"
    InstalledModelFactory(name=REPO, provider="huggingface", path=FOLDER)
    row = RuntimeFactory(
        name="vllm",
        display_name="vLLM",
        kind=RuntimeKind.VLLM,
        base_url=f"{practice_openai.url}/v1",
        position=20,
    )
    return health.check_runtime(row)


@pytest.fixture
def serving(vllm, actor):
    """The same with that model active."""
    carry_out(activate.request_activation("vllm", REPO, actor=actor))
    link_installed()
    look()
    return fresh(vllm)


def carry_out(operation: Operation) -> Operation:
    claims.carry_out(operation.pk, activating.perform_activation)
    done = operations.get_operation(operation.pk)
    assert done.status == "completed", done.error
    return done


def look() -> None:
    health.check_node()


def fresh(runtime: Runtime) -> Runtime:
    return Runtime.objects.select_related("node").get(pk=runtime.pk)


def renamed(practice_openai, name: str) -> None:
    practice_openai.state.served[:] = [name]


def test_equal_names_are_kept_once_and_nothing_more_is_written(
    serving, django_assert_num_queries
):
    names = serving.names

    assert names["ok"] is True
    assert names["configured"] == names["registered"] == REPO
    assert names["published"] == [REPO]
    assert not Alert.objects.exists()
    found = Runtime.objects.with_names().select_related("node").get(pk=serving.pk)
    with django_assert_num_queries(0):
        alias_guard.watch(found, found.served_models, since=timezone.now())


def test_another_name_is_a_state_of_model_runtime_and_payload(
    serving, practice_openai, published
):
    before = policy_number()
    renamed(practice_openai, "something-else")

    look()

    names = fresh(serving).names
    assert (names["differing"], names["repair"]) == (["published"], "activate")
    payload = active_payload()
    assert payload["alias_ok"] is False
    assert payload["served_name"] == "something-else"
    assert payload["expected_name"] == REPO
    model = registry.find_installed(REPO)
    assert model_lists.row_of(model).status == "alias_mismatch"
    [row] = model_lists.list_rows().rows
    assert row.status == "alias_mismatch"
    assert policy_number() > before
    news = [data for kind, data in published if kind == "runtime.changed"]
    assert news[-1]["alias"]["is_mismatch"] is True


def test_the_alert_opens_at_the_second_look_and_closes_by_itself(
    serving, practice_openai
):
    renamed(practice_openai, "something-else")
    look()
    assert not Alert.objects.exists()
    look()
    look()

    alert = Alert.objects.get()

    assert (alert.code, alert.model, alert.count) == ("alias_mismatch", REPO, 1)
    assert "something-else" in alert.message
    assert REPO in alert.sentence
    alerts.close_what_cleared()
    assert Alert.objects.open().exists()
    renamed(practice_openai, REPO)
    look()
    assert not Alert.objects.open().exists()
    assert active_payload()["alias_ok"] is True


def test_while_a_server_is_switched_nobody_judges_its_names(serving, practice_openai):
    OperationFactory(
        running=True, node=serving.node, lock_key=runtimes_lock(serving.node)
    )
    renamed(practice_openai, "something-else")

    look()

    assert fresh(serving).names["ok"] is True


def test_a_list_that_is_older_than_a_switch_says_nothing(serving, actor):
    began = timezone.now()
    stale = [{"name": "of-the-former-server", "root": ""}]
    carry_out(activate.request_activation("vllm", REPO, actor=actor))

    alias_guard.watch(fresh(serving), stale, since=began)

    assert fresh(serving).names == {}
    alias_guard.watch(fresh(serving), stale, since=timezone.now())
    assert fresh(serving).names["is_mismatch"] is True


def test_a_server_that_does_not_answer_leaves_the_last_verdict(
    serving, practice_openai
):
    practice_openai.stop()

    look()
    look()

    assert fresh(serving).status == "offline"
    assert fresh(serving).names["ok"] is True


def test_a_verdict_ends_with_its_activation_even_where_the_server_is_away(
    serving, practice_openai, ollama, actor
):
    renamed(practice_openai, "something-else")
    look()
    look()
    assert Alert.objects.open().exists()
    practice_openai.stop()
    carry_out(activate.request_activation("ollama", "gemma3:4b", actor=actor))

    look()

    assert fresh(serving).names == {}
    assert not Alert.objects.open().exists()


def test_the_gateway_refuses_what_would_be_a_404_and_names_the_repair(
    serving, practice_openai
):
    renamed(practice_openai, "something-else")
    look()
    known = snapshot.load()

    for asked in (None, REPO):
        decision = choose_route(Asked(model=asked), known, known.policy)

        refusal = decision.refusal
        assert not decision.routes
        assert refusal is not None
        assert (refusal.status, refusal.code) == (404, "alias_mismatch")
        assert "something-else" in refusal.message
        assert "/llm-servers/vllm/repair" in refusal.message
        [candidate] = decision.candidates
        assert candidate["reason"] == "FALLBACK_MODEL_NOT_FOUND"


def test_another_server_answers_instead_where_the_policy_lets_it(
    serving, practice_openai, ollama
):
    renamed(practice_openai, "something-else")
    Runtime.objects.filter(pk=ollama.pk).update(last_model="gemma3:4b")
    look()
    known = snapshot.load()

    decision = choose_route(Asked(model=None), known, known.policy)

    [route] = decision.routes
    assert route.runtime.name == "ollama"
    assert route.reason_code == "FALLBACK_MODEL_NOT_FOUND"


def test_the_alias_of_our_own_folder_is_activated_by_one_call(
    serving, practice_openai, api_client
):
    renamed(practice_openai, "gemma")
    look()
    assert fresh(serving).names["target"] == "gemma"

    answer = api_client("operate").post("/api/v1/system/llm-servers/vllm/repair")

    assert answer.status_code == 202
    carry_out(operations.get_operation(answer.json()["operation_id"]))
    look()
    active = Activation.objects.default().get()
    assert active.served_name == "gemma"
    assert active.installed_model == registry.find_installed(REPO)
    assert fresh(serving).names["ok"] is True
    payload = active_payload()
    assert (payload["alias_ok"], payload["served_name"]) == (True, "gemma")
    known = snapshot.load()
    assert choose_route(Asked(model=None), known, known.policy).routes


def test_a_commit_ends_an_older_verdict_at_once(serving, practice_openai, actor):
    renamed(practice_openai, "something-else")
    look()
    look()
    renamed(practice_openai, REPO)

    carry_out(activate.request_activation("vllm", REPO, actor=actor))

    assert fresh(serving).names == {}
    assert not Alert.objects.open().exists()
    known = snapshot.load()
    assert choose_route(Asked(model=None), known, known.policy).routes


def test_a_server_of_ours_is_to_be_started_again_under_its_name(
    serving, practice_openai
):
    Runtime.objects.filter(pk=serving.pk).update(managed_by=ManagedBy.PROCESS)
    renamed(practice_openai, "gemma")

    look()

    names = fresh(serving).names
    assert (names["repair"], names["target"]) == ("activate", REPO)


def test_clients_that_ask_for_an_old_name_are_told_without_an_alert(serving):
    RequestRecord.objects.create(
        request_id="r1", runtime="vllm", requested_model="models/gemma-3-4b-it"
    )
    alias_guard._asked.clear()

    look()
    look()

    names = fresh(serving).names
    assert names["differing"] == ["requested"]
    assert active_payload()["alias_ok"] is True
    assert not Alert.objects.exists()


def test_a_name_with_the_prefix_of_the_server_is_no_other_name(serving):
    RequestRecord.objects.create(
        request_id="r1", runtime="vllm", requested_model=f"vllm/{REPO}"
    )
    alias_guard._asked.clear()

    look()

    assert fresh(serving).names["ok"] is True


def test_what_is_all_right_or_needs_a_person_is_not_repaired(
    serving, practice_openai, actor, api_client
):
    with pytest.raises(NothingToRepair):
        alias_guard.repair(serving, actor=actor)
    practice_openai.state.root = "/somewhere/else"
    renamed(practice_openai, "something-else")
    look()

    client = api_client("operate")
    answer = client.post("/api/v1/system/llm-servers/vllm/repair")

    assert answer.status_code == 409
    assert answer.json()["code"] == "nothing_to_repair"
    assert REPO in answer.json()["detail"]
    unknown = client.post("/api/v1/system/llm-servers/nobody/repair")
    assert unknown.status_code == 404


def test_the_table_has_friendly_name_path_and_alias(
    serving, practice_openai, api_client
):
    InstalledModelFactory(name="org/other", provider="huggingface", path="hf/o@1")
    renamed(practice_openai, "gemma")
    look()

    body = api_client("read").get("/api/v1/system/llm-servers").json()

    [server] = body["servers"]
    assert server["alias"]["target"] == "gemma"
    assert server["names"] == [
        {
            "name": REPO,
            "alias": "gemma",
            "path": FOLDER,
            "registered": True,
            "active": False,
        },
        {
            "name": "org/other",
            "alias": None,
            "path": "hf/o@1",
            "registered": True,
            "active": False,
        },
    ]


def test_the_history_knows_the_friendly_name_of_an_alias(
    serving, practice_openai, page_client
):
    renamed(practice_openai, "gemma")
    look()
    record = RequestRecord.objects.create(
        request_id="r1", runtime="vllm", llm_model="gemma", requested_model="gemma"
    )
    client = page_client("Viewer")

    page = client.get(f"/requests/{record.pk}/").content.decode()

    assert (
        f'<span class="mono">{REPO}</span> as <span class="mono">gemma</span>' in page
    )
    RequestRecord.objects.update(llm_model=REPO)
    assert " as <span" not in client.get(f"/requests/{record.pk}/").content.decode()


def test_pages_show_the_trouble_its_repair_and_the_names(
    serving, practice_openai, page_client
):
    renamed(practice_openai, "gemma")
    look()
    client = page_client("Operator")

    page = client.get("/runtimes/vllm/").content.decode()
    names = client.get("/runtimes/vllm/names/").content.decode()
    model = client.get(f"/models/huggingface/{REPO}/").content.decode()
    sent = client.post("/runtimes/vllm/repair/")

    assert 'action="/runtimes/vllm/repair/"' in page
    assert 'hx-get="/runtimes/vllm/names/"' in page
    assert FOLDER in names
    assert "Alias mismatch" in model
    assert 'action="/runtimes/vllm/repair/"' in model
    assert sent.status_code == 302
    assert Operation.objects.open().get().model_name == "gemma"


def test_a_reader_sees_the_trouble_but_no_button(serving, practice_openai, page_client):
    renamed(practice_openai, "gemma")
    look()

    page = page_client("Viewer").get("/runtimes/vllm/").content.decode()

    assert "alias_mismatch" in page
    assert "/runtimes/vllm/repair/" not in page
