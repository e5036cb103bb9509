"""Installing as programs see it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from models_app.models import Operation
from tests.factories import OperationFactory
from tests.models_app.installs import ask, carry_out

pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.ollama_fixtures")
pytestmark = pytest.mark.django_db

INSTALL = "/api/v1/models/install"
REGISTRY = "/api/v1/models/registry/install"
PARTIALS = "/api/v1/models/partials"
OPERATIONS = "/api/v1/models/operations"
QWEN = {"provider": "ollama", "name": "qwen3:0.6b"}


def post(client, path, body=None, **headers):
    return client.post(path, body, content_type="application/json", headers=headers)


@pytest.mark.parametrize("path", [INSTALL, REGISTRY])
@pytest.mark.parametrize("field", ["model", "name"])
def test_an_install_starts_and_says_how_large_it_is(ollama, api_client, path, field):
    body = {"provider": "ollama", field: "qwen3:0.6b", "runtime": "ollama"}

    answer = post(api_client("operate"), path, body)

    assert answer.status_code == 202
    operation = Operation.objects.get(pk=answer.json()["operation_id"])
    assert operation.model_name == "qwen3:0.6b"
    assert "523 MB" in answer.json()["message"]


def test_every_wish_of_the_body_is_kept(ollama, api_client, environment):
    environment(MODELS_CONFIRM_ABOVE_GB=0.1)
    later = timezone.now() + timedelta(hours=1)
    body = QWEN | {
        "confirm_large": True,
        "activate": "now",
        "not_before": later.isoformat(),
        "wait_seconds": 2.5,
    }

    answer = post(api_client("operate"), INSTALL, body)

    operation = Operation.objects.get(pk=answer.json()["operation_id"])
    assert operation.params["activate"] == "now"
    assert operation.not_before == later
    assert answer["X-Venom-Wait"] == f"{operation.pk};2.5"


def test_a_size_that_nobody_knows_is_said(ollama, practice_registry, api_client):
    practice_registry.stop()

    answer = post(api_client("operate"), INSTALL, QWEN)

    assert "4.0 GB are reserved" in answer.json()["message"]


def test_the_same_call_twice_is_one_operation(ollama, api_client):
    client = api_client("operate")

    first, second = (post(client, INSTALL, QWEN).json() for _ in range(2))

    assert first["operation_id"] == second["operation_id"]


def test_the_answer_says_when_it_joins_what_runs_or_rests(ollama, api_client):
    client = api_client("operate")
    pk = post(client, INSTALL, QWEN).json()["operation_id"]
    post(client, f"{OPERATIONS}/{pk}/pause")

    assert "paused" in post(client, INSTALL, QWEN).json()["message"]


def test_the_same_idempotency_key_starts_one_install(ollama, api_client):
    client = api_client("operate")
    first = post(client, INSTALL, QWEN, Idempotency_Key="k")
    again = post(client, INSTALL, QWEN, Idempotency_Key="k")

    assert again.json() == first.json()
    assert again["Idempotent-Replay"] == "true"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"provider": "ollama"}, "model"),
        ({"name": "a:1"}, "provider"),
        (QWEN | {"model": "other:1b"}, "model"),
        (QWEN | {"name": 5, "model": None}, "name"),
        (QWEN | {"name": "a/../b"}, "name"),
        (QWEN | {"name": "модель"}, "name"),
        (QWEN | {"name": "x" * 300}, "name"),
        (QWEN | {"name": ""}, "name"),
        (QWEN | {"provider": "dockerhub"}, "provider"),
        (QWEN | {"provider": 1}, "provider"),
        (QWEN | {"confirm_large": "yes"}, "confirm_large"),
        (QWEN | {"activate": "later"}, "activate"),
        (QWEN | {"activate": "idle"}, "activate"),
        (QWEN | {"revision": "main"}, "revision"),
        (QWEN | {"runtime": "x" * 101}, "runtime"),
        (QWEN | {"wait_seconds": "9"}, "wait_seconds"),
        (QWEN | {"not_before": "tomorrow"}, "not_before"),
        ([], "body"),
        (None, "body"),
    ],
)
def test_a_wrong_body_is_422_and_says_where(ollama, api_client, body, place):
    answer = post(api_client("operate"), INSTALL, json.dumps(body))

    assert answer.status_code == 422, answer.json()
    assert answer.json()["code"] == "invalid_body"
    told = answer.json()["errors"][0]
    assert place in told["loc"] + told["message"]
    assert not Operation.objects.exists()


def test_refusals_carry_their_codes_and_figures(ollama, api_client, environment):
    client = api_client("operate")
    incompatible = post(client, INSTALL, QWEN | {"runtime": "vllm"})
    outside = post(client, INSTALL, {"provider": "hf", "name": "org/model"})
    environment(MODELS_MAX_DISK_GB=0.1)
    full = post(client, INSTALL, QWEN)
    environment(MODELS_MAX_DISK_GB=50, MODELS_CONFIRM_ABOVE_GB=0.1)
    large = post(client, INSTALL, QWEN)
    environment(OLLAMA_NO_CLOUD=True)
    cloud = post(client, INSTALL, QWEN | {"name": "gpt-oss:20b-cloud"})

    assert [
        (answer.status_code, answer.json()["code"])
        for answer in (incompatible, outside, full, large, cloud)
    ] == [
        (409, "incompatible_runtime"),
        (403, "outside_profile"),
        (409, "does_not_fit"),
        (409, "confirm_required"),
        (403, "POLICY_LOCAL_ONLY"),
    ]
    assert full.json()["limit"] == "quota"
    assert full.json()["free_bytes"] == 100_000_000
    assert large.json()["size_bytes"] == 522_653_767
    assert outside.json()["profiles_with_it"] == ["full"]


@pytest.mark.django_db(transaction=True)  # its heartbeat writes in a thread
def test_half_downloads_are_listed_and_let_go(ollama, api_client):
    client = api_client("operate")
    operation = ask("qwen3:0.6b")
    ollama.state.faults.plan("/api/pull", "disk_full:3")
    carry_out(operation)
    assert operation.bytes_done

    [partial] = client.get(PARTIALS).json()["partials"]
    assert partial == {
        "operation_id": str(operation.pk),
        "model_name": "qwen3:0.6b",
        "provider": "ollama",
        "bytes_done": operation.bytes_done,
        "bytes_total": 522_653_767,
    }

    gone = client.delete(f"{PARTIALS}?operation_id={operation.pk}")

    assert gone.json()["discarded"] == [str(operation.pk)]
    assert client.get(PARTIALS).json()["partials"] == []
    assert client.delete(PARTIALS).json()["discarded"] == []
    assert client.delete(f"{PARTIALS}?operation_id=nonsense").status_code == 404


def test_one_call_lets_go_of_all_that_nobody_fetches(ollama, api_client):
    usual = {"operation_type": "install", "provider": "ollama", "bytes_done": 5}
    rows = [
        OperationFactory(**usual, model_name=name, target_key=name, **state)
        for name, state in (
            ("a:1", {"failed": True}),
            ("b:1", {"status": "cancelled"}),
            ("c:1", {"running": True}),
        )
    ]
    client = api_client("operate")

    gone = client.delete(PARTIALS)

    assert set(gone.json()["discarded"]) == {str(row.pk) for row in rows[:2]}
    [left] = client.get(PARTIALS).json()["partials"]
    assert left["operation_id"] == str(rows[2].pk)


def test_a_body_may_name_the_half_download_too(ollama, api_client):
    row = OperationFactory(
        operation_type="install", provider="ollama", bytes_done=5, failed=True
    )
    body = json.dumps({"operation_id": str(row.pk)})

    gone = api_client("operate").delete(PARTIALS, body, content_type="application/json")

    assert gone.json()["discarded"] == [str(row.pk)]


def test_discard_answers_with_the_operation(ollama, api_client):
    row = OperationFactory(
        operation_type="install",
        provider="ollama",
        model_name="qwen3:0.6b",
        bytes_done=5,
        pause_requested=True,
        phase="paused",
    )

    answer = post(api_client("operate"), f"{OPERATIONS}/{row.pk}/discard").json()

    assert answer["operation"]["status"] == "cancelled"
    assert answer["operation"]["bytes_done"] is None
    assert any("Discarded by" in line["line"] for line in answer["log"])


@pytest.mark.django_db(transaction=True)  # its heartbeat writes in a thread
def test_a_failed_install_is_retried_by_call(ollama, api_client):
    operation = ask("qwen3:0.6b")
    ollama.state.faults.plan("/api/pull", "disk_full")
    carry_out(operation)

    answer = post(api_client("operate"), f"{OPERATIONS}/{operation.pk}/retry")

    assert answer.json()["operation"]["status"] == "pending"
    assert carry_out(operation).status == "completed"


def test_installing_needs_operate(ollama, api_client):
    reader, asker = api_client("read"), api_client("inference")

    assert post(reader, INSTALL, QWEN).status_code == 403
    assert post(reader, REGISTRY, QWEN).status_code == 403
    assert reader.delete(PARTIALS).status_code == 403
    assert reader.get(PARTIALS).status_code == 200
    assert asker.get(PARTIALS).status_code == 403
