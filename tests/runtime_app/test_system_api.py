"""The JSON calls about servers, models and activation, as a program sees them."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from models_app.models import Operation
from models_app.services import claims, nodes, operations
from runtime_app.models import Runtime
from runtime_app.monitoring import health
from runtime_app.services import activating
from runtime_app.services.waiting import finished_body
from tests.factories import InstalledModelFactory

pytestmark = pytest.mark.django_db(transaction=True)
pytest_plugins = ("tests.fakes.fixtures",)

BASE = "/api/v1"
SERVERS = f"{BASE}/system/llm-servers"
ACTIVE = f"{BASE}/system/llm-servers/active"


@pytest.fixture
def post(api_client):
    client = api_client("operate")

    def send(path: str, body: object):
        return client.post(path, json.dumps(body), content_type="application/json")

    return send


def finish(answer: dict) -> Operation:
    claims.carry_out(answer["operation_id"], activating.perform_activation)
    return operations.get_operation(answer["operation_id"])


def test_servers_are_listed_with_every_field_of_the_contract(ollama, api_client):
    answer = api_client("read").get(SERVERS)

    assert answer.status_code == 200
    body = answer.json()
    assert body["success"] is True
    [server] = body["servers"]
    assert set(server) >= {
        "name", "display_name", "provider", "endpoint", "health_url", "managed_by",
        "supports", "status", "latency_ms", "last_check", "error_message", "pid",
        "memory_mb", "vram_mb", "uptime_seconds", "version", "loaded",
    }  # fmt: skip
    assert server["status"] == "online"
    assert server["health_url"] == f"{ollama.base_url}/api/version"
    assert server["last_check"].endswith("Z")
    supported = {name for name, can in server["supports"].items() if can}
    assert supported == {"unload"}


def test_a_server_is_added_and_looked_at_before_the_answer(post, practice_openai):
    practice_openai.state.api_key = "k-1234567890abcdef"
    wanted = {"name": "shed", "base_url": practice_openai.url, "unknown": "ignored"}

    answer = post(SERVERS, wanted | {"key": "k-1234567890abcdef"})

    assert answer.status_code == 201
    server = answer.json()["server"]
    assert (server["status"], server["provider"]) == ("online", "shed")
    assert "k-1234567890abcdef" not in answer.content.decode()
    assert post(SERVERS, wanted).json()["code"] == "name_taken"


def test_a_server_that_does_not_answer_is_added_as_offline(post):
    answer = post(SERVERS, {"name": "shed", "base_url": "http://127.0.0.1:9/v1"})

    assert answer.status_code == 201
    assert answer.json()["server"]["status"] == "offline"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": 5, "base_url": "http://x"}, "name"),
        ({"name": "ollama", "base_url": "http://x"}, "name"),
        ({"name": "shed", "base_url": "file:///etc"}, "base_url"),
        ({"name": "shed", "base_url": ["http://x"]}, "base_url"),
        (
            {"name": "shed", "base_url": "http://x", "key": "sk-1…9f2a"},
            "key",
        ),
        ([], "name"),
        ("text", "name"),
        (None, "name"),
    ],
)
def test_bad_servers_are_listed_one_by_one(post, body, field):
    answer = post(SERVERS, body)

    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "invalid_body"
    assert field in [error["loc"].rpartition(".")[2] for error in problem["errors"]]
    assert not Runtime.objects.exists()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/models/activate", {"runtime": "ollama"}),
        ("/models/activate", {"name": "m"}),
        ("/models/activate", {"name": 1, "runtime": "ollama"}),
        ("/models/activate", {"name": "m", "runtime": "ollama", "wait_seconds": "5"}),
        ("/models/activate", {"name": "m", "runtime": "ollama", "wait_seconds": 301}),
        ("/models/activate", {"name": "m", "runtime": "ollama", "wait_seconds": -1}),
        ("/models/activate", {"name": "m" * 201, "runtime": "ollama"}),
        ("/models/activate", {"name": "gemma3:4b", "runtime": "ollama", "when": 1}),
        (
            "/models/activate",
            {"name": "gemma3:4b", "runtime": "ollama", "when": "later"},
        ),
        ("/models/switch", {}),
        ("/models/switch", {"name": None}),
        ("/system/llm-servers/active", {"server_name": "ollama"}),
        ("/system/llm-servers/active", {"model_name": "m"}),
    ],
)
def test_bad_bodies_are_422_with_a_list(post, ollama, path, body):
    answer = post(BASE + path, body)

    assert answer.status_code == 422, answer.content
    assert answer.json()["errors"]
    assert not Operation.objects.exists()


def test_a_body_that_is_no_json_is_400(api_client):
    answer = api_client().post(SERVERS, "{", content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_activation_answers_202_with_the_plan_and_asks_to_be_held(post, ollama):
    wanted = {"model": "gemma3:4b", "runtime": "ollama", "wait_seconds": 30}

    answer = post(f"{BASE}/models/activate", wanted)

    assert answer.status_code == 202
    body = answer.json()
    assert [step["step"] for step in body["plan"]] == [
        "checking", "loading", "confirming", "committing", "releasing",
    ]  # fmt: skip
    assert answer["X-Venom-Wait"] == f"{body['operation_id']};30"
    whole = finished_body(body, finish(body))
    assert whole["operation"]["status"] == "completed"
    assert whole["runtime"]["model"] == "gemma3:4b"
    assert "active_server" not in whole


def test_without_wait_seconds_nobody_is_asked_to_hold(post, ollama):
    answer = post(f"{BASE}/models/activate", {"name": "phi3:mini", "runtime": "ollama"})
    assert "X-Venom-Wait" not in answer


def test_the_active_server_is_set_and_read_in_one_shape(post, ollama, api_client):
    wanted = {"server_name": "ollama", "model_name": "phi3:mini", "wait_seconds": 5}
    first = post(ACTIVE, wanted)
    assert first.status_code == 202
    held = finished_body(first.json(), finish(first.json()))

    read = api_client("read").get(ACTIVE).json()

    assert read["active_server"] == "ollama"
    assert read["active_model"] == "phi3:mini"
    assert read["active_endpoint"] == ollama.base_url
    assert read["last_models"] == {"ollama": "phi3:mini"}
    assert read["runtime"]["config_hash"] == read["config_hash"]
    assert held.items() >= read.items()


def test_switch_stays_on_the_active_runtime(post, ollama):
    refused = post(f"{BASE}/models/switch", {"name": "phi3:mini"})
    assert (refused.status_code, refused.json()["code"]) == (409, "no_active_runtime")
    finish(
        post(
            f"{BASE}/models/activate", {"name": "gemma3:4b", "runtime": "ollama"}
        ).json()
    )

    switched = post(f"{BASE}/models/switch", {"name": "phi3:mini"})

    assert finish(switched.json()).status == "completed"


def test_refusals_have_the_codes_of_the_contract(post, ollama):
    def code(name: str, runtime: str) -> tuple[int, str]:
        wanted = {"name": name, "runtime": runtime}
        answer = post(f"{BASE}/models/activate", wanted)
        return answer.status_code, answer.json()["code"]

    assert code("gemma3:4b", "nowhere") == (422, "unknown_runtime")
    assert code("gemma3:4b", "vllm") == (403, "outside_profile")
    assert code("llama3:70b", "ollama") == (409, "model_not_installed")


def test_a_second_activation_of_another_model_names_the_operation(post, ollama):
    first = post(f"{BASE}/models/activate", {"name": "gemma3:4b", "runtime": "ollama"})

    second = post(f"{BASE}/models/activate", {"name": "phi3:mini", "runtime": "ollama"})

    assert second.status_code == 409
    assert second.json()["operation_id"] == first.json()["operation_id"]


def test_models_are_grouped_by_provider_and_never_mixed(
    ollama, server_row, post, api_client
):
    health.check_node()
    for name in ("gemma3:4b", "phi3:mini"):
        InstalledModelFactory(name=name)
    finish(
        post(
            f"{BASE}/models/activate", {"name": "gemma3:4b", "runtime": "ollama"}
        ).json()
    )

    body = api_client("read").get(f"{BASE}/models").json()

    assert body["count"] == 3
    assert set(body["providers"]) == {"ollama", "practice"}
    assert {m["name"]: m["active"] for m in body["models"]} == {
        "gemma3:4b": True,
        "phi3:mini": False,
        "practice-7b": False,
    }
    model = body["models"][0]
    assert model["source_type"] == "local-runtime"
    assert model["size_gb"] > 0
    assert body["active"]["model"] == "gemma3:4b"


def test_llm_off_hides_every_server_and_refuses_to_act(
    ollama, post, api_client, settings
):
    settings.RUNTIME_PROFILE = "llm_off"
    reader = api_client("read")

    assert reader.get(SERVERS).json()["servers"] == []
    assert reader.get(f"{BASE}/models").json()["models"] == []
    for path, body in (
        ("/models/activate", {"name": "gemma3:4b", "runtime": "ollama"}),
        ("/system/llm-servers/active", {"server_name": "ollama", "model": "gemma3:4b"}),
        ("/system/llm-servers", {"name": "shed", "base_url": "http://127.0.0.1:9"}),
    ):
        answer = post(BASE + path, body)
        assert answer.status_code == 403, path
        assert answer.json()["code"] == "outside_profile"


def test_our_own_parts_are_shown_beside_the_runtimes(ollama, api_client):
    nodes.mark_seen()

    body = api_client("read").get(f"{BASE}/system/services").json()

    parts = {part["name"]: part for part in body["services"]}
    assert {"web", "database", "broker", "worker test-node", "ollama"} <= set(parts)
    assert parts["database"]["status"] == "online"
    assert parts["database"]["latency_ms"] >= 0
    assert parts["worker test-node"]["status"] == "online"
    assert parts["web"]["memory_mb"] > 1
    assert set(parts["ollama"]) == {
        "name", "type", "status", "latency_ms", "last_check", "memory_mb",
        "uptime_seconds",
    }  # fmt: skip


def test_memory_and_age_of_a_process_are_told_by_both_calls(ollama, api_client):
    began = timezone.now() - timedelta(seconds=90)
    Runtime.objects.update(
        pid=4711,
        memory_bytes=3 << 29,
        vram_bytes=1 << 30,
        process_started_at=began,
        restarts=2,
    )
    client = api_client("read")

    [server] = client.get(SERVERS).json()["servers"]
    parts = client.get(f"{BASE}/system/services").json()["services"]

    told = (server["pid"], server["memory_mb"], server["vram_mb"], server["restarts"])
    assert told == (4711, 1536.0, 1024.0, 2)
    assert 89 <= server["uptime_seconds"] < 1000
    [part] = [part for part in parts if part["name"] == "ollama"]
    assert part["memory_mb"] == 1536.0
    assert 89 <= part["uptime_seconds"] < 1000


def test_the_status_names_boot_version_profile_and_node(api_client):
    body = api_client("read").get(f"{BASE}/system/status").json()

    assert body["profile"] == "light"
    assert body["node"] == "test-node"
    assert body["boot_id"]
    assert body["started_at"].endswith("Z")
    assert body["version"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/system/llm-servers"),
        ("get", "/system/llm-servers/active"),
        ("get", "/system/services"),
        ("get", "/system/status"),
        ("get", "/models"),
        ("post", "/models/activate"),
        ("post", "/models/switch"),
        ("post", "/system/llm-servers"),
        ("post", "/system/llm-servers/active"),
    ],
)
def test_a_key_with_too_little_scope_is_refused(api_client, method, path):
    client = api_client("inference" if method == "get" else "read")
    bodies = {
        "/system/llm-servers": {"name": "shed", "base_url": "http://127.0.0.1:9"},
        "/system/llm-servers/active": {"server_name": "ollama", "model": "m"},
    }
    body = bodies.get(path, {"name": "m", "runtime": "ollama"})
    send = getattr(client, method)
    if method == "get":
        answer = send(BASE + path)
    else:
        answer = send(BASE + path, json.dumps(body), content_type="application/json")

    assert answer.status_code == 403
    assert answer.json()["code"] == "scope_missing"


def test_lists_ask_the_database_a_fixed_number_of_times(
    ollama, server_row, api_client, django_assert_max_num_queries
):
    client = api_client("read")
    client.get(SERVERS)
    with django_assert_max_num_queries(4):
        client.get(SERVERS)
    InstalledModelFactory.create_batch(5)
    with django_assert_max_num_queries(8):
        client.get(f"{BASE}/models")
