"""Installed models as programs see them: list, versions, capabilities, removal."""

from __future__ import annotations

import json
from urllib.parse import quote

import httpx
import pytest
from django.db import connection

from history_app.models import AuditEntry
from models_app.models import Capabilities, InstalledModel, Operation
from runtime_app.governance import keys
from runtime_app.models import Activation
from tests.factories import (
    CapabilitiesFactory,
    InstalledModelFactory,
    OperationFactory,
    RuntimeFactory,
)
from tests.fakes.nvml import PracticeGpu
from tests.serving import DaphneProcess, ServerThread
from venom_site.clients import hardware
from venom_site.lib.access import SYSTEM, Scope

pytestmark = pytest.mark.django_db
pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.practice_store")

BASE = "/api/v1/models"
LISTED = {
    "name", "display_name", "provider", "runtime", "type", "size_gb", "quantization",
    "parameter_size", "path", "source", "digest", "revision", "status", "active",
    "source_type", "requires_gpu", "installed_at",
}  # fmt: skip
CAPABILITIES = {
    "supports_system_role", "supports_function_calling", "supports_vision",
    "supports_thinking", "allowed_roles", "prompt_template", "max_context_length",
    "quantization", "source",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _away(away):
    """Nobody answers where a name without a row would be looked for."""


@pytest.fixture
def reader(api_client):
    return api_client("read")


@pytest.fixture
def operator(api_client):
    return api_client("operate")


@pytest.fixture
def gemma():
    return InstalledModelFactory(name="gemma3:4b", size_bytes=3_338_801_804)


def put(client, name, body, **query):
    address = f"{BASE}/{name}/capabilities"
    return client.put(address, body, content_type="application/json")


def remove(client, **body):
    return client.post(f"{BASE}/remove", body, content_type="application/json")


def set_active(model, served_models=None):
    runtime = RuntimeFactory(
        served_models=served_models or [{"name": model.name}], status="online"
    )
    Activation.objects.create(
        node=model.node,
        runtime=runtime,
        installed_model=model,
        model_name=model.name,
        served_name=model.name,
        state="active",
    )


# The list


def test_the_list_has_every_field_of_the_contract(reader, gemma):
    set_active(gemma)

    body = reader.get(BASE).json()

    assert set(body) == {
        "success", "models", "count", "active", "providers", "runtimes",
    }  # fmt: skip
    model = body["models"][0]
    assert set(model) >= LISTED
    assert model["size_gb"] == 3.34
    assert (model["status"], model["active"]) == ("installed", True)
    assert (model["provider"], model["runtime"]) == ("ollama", "ollama")
    assert model["installed_at"].endswith("Z")
    assert body["active"]["model"] == "gemma3:4b"


def test_each_model_says_how_it_fits(reader, gpus):
    gpus(PracticeGpu(used=0, total=12 << 30))
    InstalledModelFactory(name="gemma3:4b", size_bytes=3_340_000_000)
    InstalledModelFactory(name="gpt:cloud", is_remote=True)

    models = {row["name"]: row for row in reader.get(BASE).json()["models"]}

    assert models["gpt:cloud"]["fit"] is None
    fit = models["gemma3:4b"]["fit"]
    assert (fit["verdict"], fit["place"], fit["rough"]) == ("fits", "gpu", True)
    assert fit["needed_bytes"] == round(1.2 * 3_340_000_000) + (3 << 28)


def test_models_of_several_origins_never_mix(reader, gemma, settings):
    settings.RUNTIME_PROFILE = "full"
    InstalledModelFactory(name="org/model", provider="huggingface")
    RuntimeFactory(
        name="shed",
        kind="openai_compatible",
        base_url="http://127.0.0.1:9/v1",
        served_models=[{"name": "practice-7b"}],
    )
    OperationFactory(
        operation_type="install",
        provider="ollama",
        runtime="ollama",
        model_name="qwen3:8b",
        bytes_total=5_000_000_000,
        running=True,
    )

    body = reader.get(BASE).json()

    def of(group, name):
        return {model["name"] for model in body[group][name]}

    assert body["count"] == 4
    assert of("providers", "ollama") == {"gemma3:4b", "qwen3:8b"}
    assert of("providers", "huggingface") == {"org/model"}
    assert of("runtimes", "vllm") == {"org/model"}
    assert of("runtimes", "shed") == of("providers", "shed") == {"practice-7b"}
    coming = body["models"][0]
    assert (coming["status"], coming["size_gb"]) == ("downloading", 5.0)
    assert set(coming) == set(body["models"][-1])


def test_an_active_model_that_its_server_calls_otherwise_is_named_so(reader, gemma):
    set_active(gemma, served_models=[{"name": "something-else"}])

    assert reader.get(BASE).json()["models"][0]["status"] == "alias_mismatch"


def test_a_cloud_model_says_so(reader):
    InstalledModelFactory(is_remote=True)

    assert reader.get(BASE).json()["models"][0]["source_type"] == "cloud-api"


def test_the_list_costs_the_same_for_a_thousand(reader, django_assert_max_num_queries):
    rows = InstalledModelFactory.build_batch(1000, node=None)
    node = InstalledModelFactory().node
    for row in rows:
        row.node = node
    InstalledModel.objects.bulk_create(rows)
    reader.get(BASE)

    with django_assert_max_num_queries(9):
        assert reader.get(BASE).json()["count"] == 1001


# Versions and capabilities


def test_versions_show_what_is_installed_and_active(reader, gemma):
    set_active(gemma)

    versions = reader.get(f"{BASE}/gemma3:4b/versions").json()["versions"]

    assert [set(version) for version in versions] == [
        {"revision", "digest", "size_gb", "installed_at", "active", "source"}
    ]
    assert versions[0]["digest"] == gemma.digest
    assert versions[0]["active"] is True


def test_capabilities_nobody_spoke_of_are_null(reader, gemma):
    body = reader.get(f"{BASE}/gemma3:4b/capabilities").json()

    assert body["model_name"] == "gemma3:4b"
    assert set(body["capabilities"]) >= CAPABILITIES
    assert body["capabilities"]["supports_vision"] is None
    assert body["capabilities"]["allowed_roles"] == []
    assert body["capabilities"]["source"] is None
    assert body["capabilities"]["max_context_length"] == 32_768


def test_what_is_set_by_hand_stays_beside_what_was_known(operator, gemma):
    CapabilitiesFactory(model=gemma, supports_vision=True, supports_thinking=False)

    answer = put(
        operator,
        "gemma3:4b",
        {
            "supports_system_role": False,
            "supports_thinking": None,
            "allowed_roles": ["assistant", "user", "user"],
            "prompt_template": "Q: {message}",
            "max_context_length": 8192,
            "source": "probed",
        },
    )

    assert answer.status_code == 200, answer.content
    said = answer.json()["capabilities"]
    assert said["source"] == "manual"
    assert said["supports_system_role"] is False
    assert said["supports_vision"] is True
    assert said["supports_thinking"] is None
    assert said["allowed_roles"] == ["user", "assistant"]
    assert said["prompt_template"] == "Q: {message}"
    assert said["max_context_length"] == 8192
    assert said == operator.get(f"{BASE}/gemma3:4b/capabilities").json()["capabilities"]
    entry = AuditEntry.objects.get(verb="model.capabilities")
    assert entry.before["supports_system_role"] is None
    assert entry.after["source"] == "manual"


def test_an_empty_wish_keeps_all_and_makes_it_ours(operator, gemma):
    CapabilitiesFactory(model=gemma, supports_vision=True)

    said = put(operator, "gemma3:4b", {}).json()["capabilities"]

    assert (said["supports_vision"], said["source"]) == (True, "manual")


@pytest.mark.parametrize(
    "body",
    [
        {"supports_vision": "yes"},
        {"supports_vision": 1},
        {"allowed_roles": ["user", "king"]},
        {"allowed_roles": ["system"]},
        {"allowed_roles": "user"},
        {"allowed_roles": ["user"] * 21},
        {"allowed_roles": None},
        {"supports_system_role": False, "allowed_roles": ["system", "user"]},
        {"prompt_template": "no place for the question"},
        {"prompt_template": "{message}" + "x" * 20_000},
        {"max_context_length": 0},
        {"max_context_length": 2**31},
        {"max_context_length": 8192.5},
        {"max_context_length": True},
        {"quantization": "q" * 41},
    ],
)
def test_capabilities_that_make_no_sense_are_422_and_change_nothing(
    operator, gemma, body
):
    answer = put(operator, "gemma3:4b", body)

    assert answer.status_code == 422, answer.content
    assert answer.json()["errors"][0]["message"]
    assert not Capabilities.objects.exists()


def test_a_contradiction_to_what_stood_there_is_422(operator, gemma):
    CapabilitiesFactory(model=gemma, allowed_roles=["system", "user"])

    answer = put(operator, "gemma3:4b", {"supports_system_role": False})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == "body.allowed_roles"
    assert Capabilities.objects.get().supports_system_role is None


# Removing


def test_a_model_can_be_removed_by_any_of_the_three_calls(operator):
    asked = [
        lambda: remove(operator, name="a:1b"),
        lambda: remove(operator, model="b:1b", provider="ollama", wait_seconds=1),
        lambda: operator.delete(f"{BASE}/registry/org/c:1b"),
        lambda: operator.delete(f"{BASE}/d:1b?provider=ollama"),
    ]
    for name in ("a:1b", "b:1b", "org/c:1b", "d:1b"):
        InstalledModelFactory(name=name)

    answers = [ask() for ask in asked]

    assert [answer.status_code for answer in answers] == [202] * 4
    rows = Operation.objects.filter(operation_type="remove")
    names = {str(row.pk): row.model_name for row in rows}
    started = [names[answer.json()["operation_id"]] for answer in answers]
    assert started == ["a:1b", "b:1b", "org/c:1b", "d:1b"]
    assert "X-Venom-Wait" in answers[1]


def test_removing_the_active_model_is_409_and_says_what_to_do(operator, gemma):
    set_active(gemma)

    answer = remove(operator, name="gemma3:4b")

    assert (answer.status_code, answer.json()["code"]) == (409, "model_active")
    assert "Activate another model first" in answer.json()["detail"]
    assert not Operation.objects.exists()


def test_removing_a_pinned_model_is_409(operator):
    InstalledModelFactory(name="a:1b", pinned=True)

    assert operator.delete(f"{BASE}/a:1b").json()["code"] == "model_pinned"


def test_removing_what_is_being_installed_is_409_with_its_id(operator, gemma):
    install = OperationFactory(
        operation_type="install",
        provider="ollama",
        model_name="gemma3:4b",
        target_key="test-node|model|ollama/gemma3:4b",
    )

    answer = operator.delete(f"{BASE}/gemma3:4b")

    assert answer.status_code == 409
    assert answer.json()["operation_id"] == str(install.pk)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": None},
        {"name": ""},
        {"name": "a b"},
        {"name": "../up"},
        {"name": "x" * 201},
        {"name": 7},
        {"name": "a:1b", "model": "b:1b"},
        {"name": "a:1b", "provider": "nobody"},
        {"name": "a:1b", "wait_seconds": 301},
    ],
)
def test_a_wish_that_names_no_model_is_422(operator, body):
    answer = remove(operator, **body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body")


# Names


@pytest.mark.parametrize(
    "name",
    ["org/model:q4", "a/b/c", "model", "model:latest", "org/versions", "A.b_c-d"],
)
@pytest.mark.parametrize("encode", [lambda name: name, lambda name: quote(name, "")])
def test_names_are_taken_raw_and_encoded(operator, name, encode):
    InstalledModelFactory(name=name)
    address = f"{BASE}/{encode(name)}"

    assert operator.get(f"{address}/versions").status_code == 200
    said = operator.get(f"{address}/capabilities").json()
    assert said["model_name"] == name
    assert operator.delete(f"{BASE}/registry/{encode(name)}").status_code == 202


@pytest.mark.parametrize(
    "name",
    ["unknown:1b", "..", "a/../b", "a%20b", "%00", "%F0%9F%92%A9", "x" * 201, "a:b:c",
     "a//b", "gemma3:4b%2F", "%252e%252e", "gemma3:4b/"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_a_name_that_is_not_here_is_404(operator, gemma, name, method):
    address = f"{BASE}/{name}" + ("" if method == "delete" else "/capabilities")
    sent = {"content_type": "application/json"} if method == "put" else {}

    answer = getattr(operator, method)(address, {}, **sent)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_name_of_two_providers_is_409_listing_both(operator, settings):
    settings.RUNTIME_PROFILE = "full"
    InstalledModelFactory(name="org/model")
    InstalledModelFactory(name="org/model", provider="huggingface")

    refused = operator.get(f"{BASE}/org/model/versions")

    assert (refused.status_code, refused.json()["code"]) == (409, "ambiguous_name")
    assert refused.json()["providers"] == ["huggingface", "ollama"]
    for provider in ("ollama", "huggingface", "hf"):
        answer = operator.get(f"{BASE}/org/model/versions", {"provider": provider})
        assert answer.status_code == 200, provider


def test_an_unknown_provider_is_400_in_a_query(reader, gemma):
    answer = reader.get(f"{BASE}/gemma3:4b/versions", {"provider": "nobody"})

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert "huggingface" in answer.json()["errors"][0]["message"]


def test_another_profile_s_provider_is_403_and_names_the_profile(operator, gemma):
    answer = operator.delete(f"{BASE}/gemma3:4b?provider=huggingface")

    assert (answer.status_code, answer.json()["code"]) == (403, "outside_profile")
    assert answer.json()["profiles_with_it"] == ["full"]


def test_a_fixed_ending_wins_over_a_model_called_so(operator):
    InstalledModelFactory(name="org/versions")

    assert operator.delete(f"{BASE}/org/versions").status_code == 405
    assert not Operation.objects.exists()


def test_fixed_words_win_over_models_called_so(operator):
    for name in ("operations", "activate", "usage", "remove", "registry/x"):
        InstalledModelFactory(name=name)

    assert operator.get(f"{BASE}/operations").json()["count"] == 0
    for fixed in ("operations", "activate", "usage", "remove"):
        assert operator.delete(f"{BASE}/{fixed}").status_code == 405
    assert operator.delete(f"{BASE}/registry/x").status_code == 404
    assert operator.delete(f"{BASE}/registry/registry/x").status_code == 202
    assert operator.delete(f"{BASE}/registry/usage").status_code == 202


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("put", "gemma3:4b/capabilities"),
        ("delete", "gemma3:4b"),
        ("delete", "registry/gemma3:4b"),
        ("post", "remove"),
    ],
)
def test_changes_need_the_scope_to_operate(reader, gemma, method, path):
    body = json.dumps({"name": "gemma3:4b"})
    send = getattr(reader, method)

    answer = send(f"{BASE}/{path}", body, content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert not Operation.objects.exists()


@pytest.mark.parametrize("path", ["usage", "a/versions", "a/capabilities"])
def test_reading_needs_the_scope_to_read(api_client, path):
    assert api_client("inference").get(f"{BASE}/{path}").status_code == 403


# What they take


def test_usage_counts_disk_processor_and_memory(reader, gemma):
    usage = reader.get(f"{BASE}/usage").json()["usage"]

    assert usage["models_count"] == 1
    assert usage["disk_usage_gb"] == 3.34
    assert usage["disk_limit_gb"] == 50
    assert usage["disk_usage_percent"] == 6.7
    assert 0 <= usage["cpu_usage_percent"] <= 100
    assert 0 < usage["memory_used_gb"] < usage["memory_total_gb"]


def test_a_machine_without_a_gpu_says_null(reader, monkeypatch):
    monkeypatch.setattr(hardware, "gpus", list)

    usage = reader.get(f"{BASE}/usage").json()["usage"]

    assert usage["gpus"] == []
    for name in (
        "gpu_usage_percent",
        "vram_usage_mb",
        "vram_total_mb",
        "vram_usage_percent",
    ):
        assert usage[name] is None


def test_gpus_are_listed_and_summed(reader, monkeypatch):
    gib = 1 << 30
    cards = [
        hardware.Gpu(0, "Practice A", 6 * gib, 24 * gib, 40),
        hardware.Gpu(1, "Practice B", 0, 8 * gib, None),
    ]
    monkeypatch.setattr(hardware, "gpus", lambda: cards)

    usage = reader.get(f"{BASE}/usage").json()["usage"]

    assert (usage["vram_usage_mb"], usage["vram_total_mb"]) == (6144, 32768)
    assert usage["vram_usage_percent"] == 18.8
    assert usage["gpu_usage_percent"] == 40
    assert [card["name"] for card in usage["gpus"]] == ["Practice A", "Practice B"]
    assert usage["gpus"][1]["gpu_usage_percent"] is None


# The real servers


def _walk(url, key):
    header = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=header, trust_env=False) as client:
        for name in ("org/model:q4", "org%2Fmodel%3Aq4", "org%2fmodel:q4"):
            answer = client.get(f"{BASE}/{name}/capabilities")
            assert answer.status_code == 200, (name, answer.text)
            assert answer.json()["model_name"] == "org/model:q4"
        for name in ("%2E%2E", "org%252Fmodel", "a%00b", "%F0%9F%92%A9", "a%0Ab"):
            answer = client.get(f"{BASE}/{name}/capabilities")
            assert answer.status_code == 404, (name, answer.text)
            assert answer.json()["code"] == "not_found"
        gone = client.delete(f"{BASE}/org%2Fmodel%3Aq4")
        assert gone.status_code == 202, gone.text


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
def test_both_servers_take_names_raw_and_encoded(server):
    _, key = keys.create_key("bot", [Scope.OPERATE], actor=SYSTEM)
    InstalledModelFactory(name="org/model:q4")
    if server == "daphne":
        connection.close()  # the other process may have to wait for it otherwise
        with DaphneProcess() as daphne:
            _walk(daphne.url, key)
    else:
        uvicorn = ServerThread()
        uvicorn.start()
        try:
            _walk(uvicorn.url, key)
        finally:
            uvicorn.stop()
