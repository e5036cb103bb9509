"""Operations as programs see them."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from models_app.models import Operation
from models_app.schemas.operations import OperationOut, operation_payload
from models_app.services import operation_rows
from tests.factories import OperationFactory

pytestmark = pytest.mark.django_db

LIST = "/api/v1/models/operations"
PROBE = f"{LIST}/probe"


def post(client, path, body=None, **headers):
    return client.post(path, body, content_type="application/json", headers=headers)


def test_the_list_pages_through_everything_once(api_client):
    rows = [OperationFactory() for _ in range(5)]
    client = api_client("read")

    seen, cursor = [], ""
    for _ in range(5):
        page = client.get(LIST, {"limit": 2} | ({"cursor": cursor} if cursor else {}))
        seen += [row["operation_id"] for row in page.json()["operations"]]
        if (cursor := page.json()["next"]) is None:
            break

    assert seen == [str(row.pk) for row in reversed(rows)]


def test_the_list_filters_by_status_and_type(api_client):
    OperationFactory()
    failed = OperationFactory(failed=True)
    client = api_client("read")

    found = client.get(LIST, {"status": "failed", "type": "probe"}).json()

    assert [row["operation_id"] for row in found["operations"]] == [str(failed.pk)]
    assert found["count"] == 1
    assert found["success"] is True
    assert client.get(LIST, {"type": "install"}).json()["count"] == 0


def test_the_list_takes_the_same_queries_however_long(
    api_client, django_assert_max_num_queries
):
    client = api_client("read")
    client.get(LIST)
    for number in range(8):
        lock = f"test-node|probe|{number}"
        OperationFactory(running=True, lock_key=lock)
        OperationFactory(lock_key=lock)

    with django_assert_max_num_queries(3):
        found = client.get(LIST, {"limit": 50}).json()

    assert sum(row["waiting_for"] is not None for row in found["operations"]) == 8


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 201},
        {"limit": "ten"},
        {"status": "sleeping"},
        {"type": "dance"},
        {"cursor": "*"},
        {"cursor": "MDAwMS0wMS0wMVQwMDowMDowMCsxNDowMHx4"},
    ],
)
def test_a_wrong_query_is_400_and_says_where(api_client, query):
    answer = api_client("read").get(LIST, query)

    assert answer.status_code == 400
    assert answer.json()["code"] == "bad_request"
    assert next(iter(query)) in answer.json()["errors"][0]["loc"]


def test_one_operation_comes_with_its_log(api_client):
    operation = OperationFactory(failed=True)
    operation_rows.write_log(operation.pk, "Step 1 of 2.")

    found = api_client("read").get(f"{LIST}/{operation.pk}").json()

    assert found["operation"] == operation_payload(operation)
    assert found["log"][0]["line"] == "Step 1 of 2."
    assert set(found["operation"]) == set(OperationOut.model_fields)


@pytest.mark.parametrize("pk", ["0", "x" * 300, "..", "' or 1=1"])
def test_an_impossible_id_is_404(api_client, pk):
    client = api_client("operate")

    assert client.get(f"{LIST}/{pk}").status_code == 404
    assert post(client, f"{LIST}/{pk}/cancel").status_code == 404


def test_a_probe_starts_and_says_its_id(api_client):
    answer = post(api_client("operate"), PROBE, {"seconds": 5})

    assert answer.status_code == 202
    operation = Operation.objects.get(pk=answer.json()["operation_id"])
    assert operation.params == {"seconds": 5, "fail": False}
    assert "X-Venom-Wait" not in answer


def test_a_probe_may_start_later_and_be_waited_for(api_client):
    later = timezone.now() + timedelta(hours=1)
    body = {"seconds": 1, "not_before": later.isoformat(), "wait_seconds": 2.5}

    answer = post(api_client("operate"), PROBE, body)

    operation = Operation.objects.get(pk=answer.json()["operation_id"])
    assert operation.phase == "scheduled"
    assert operation.not_before == later
    assert answer["X-Venom-Wait"] == f"{operation.pk};2.5"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "seconds"),
        ({"seconds": "5"}, "seconds"),
        ({"seconds": True}, "seconds"),
        ({"seconds": 5.5}, "seconds"),
        ({"seconds": 0}, "seconds"),
        ({"seconds": 601}, "seconds"),
        ({"seconds": 5, "fail": "yes"}, "fail"),
        ({"seconds": 5, "wait_seconds": 301}, "wait_seconds"),
        ({"seconds": 5, "wait_seconds": "9"}, "wait_seconds"),
        ({"seconds": 5, "wait_seconds": None}, "wait_seconds"),
        ({"seconds": 5, "not_before": 1700000000}, "not_before"),
        ({"seconds": 5, "not_before": "2026-11-21T10:00:00"}, "not_before"),
        ({"seconds": 5, "not_before": "9999-12-31T23:59:59-14:00"}, "not_before"),
        ([], "body"),
        (None, "body"),
    ],
)
def test_a_wrong_body_is_422_and_says_where(api_client, body, place):
    answer = post(api_client("operate"), PROBE, json.dumps(body))

    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_body"
    assert place in answer.json()["errors"][0]["loc"]
    assert not Operation.objects.exists()


def test_a_time_long_past_means_now(api_client):
    body = {"seconds": 1, "not_before": "0001-01-01T00:00:00+14:00"}

    answer = post(api_client("operate"), PROBE, body)

    operation = Operation.objects.get(pk=answer.json()["operation_id"])
    assert operation.phase == "queued"


def test_what_is_not_json_is_400(api_client):
    assert post(api_client("operate"), PROBE, "{").status_code == 400


def test_the_same_idempotency_key_starts_one_probe(api_client):
    client = api_client("operate")
    first = post(client, PROBE, {"seconds": 5}, Idempotency_Key="k")
    again = post(client, PROBE, {"seconds": 5}, Idempotency_Key="k")

    assert again.json() == first.json()
    assert again["Idempotent-Replay"] == "true"
    assert Operation.objects.count() == 1


def test_cancel_retry_pause_resume_answer_with_the_operation(api_client):
    operation = OperationFactory()
    client = api_client("operate")

    seen = [
        post(client, f"{LIST}/{operation.pk}/{verb}").json()["operation"]
        for verb in ("pause", "resume", "cancel", "retry")
    ]

    assert [row["phase"] for row in seen][:2] == ["paused", "queued"]
    assert [row["status"] for row in seen] == [
        "pending",
        "pending",
        "cancelled",
        "pending",
    ]


@pytest.mark.parametrize(
    ("verb", "trait"),
    [
        ("cancel", "completed"),
        ("pause", "completed"),
        ("retry", "running"),
        ("resume", "running"),
        ("discard", "running"),
    ],
)
def test_what_does_not_fit_the_state_is_409_with_the_id(api_client, verb, trait):
    operation = OperationFactory(**{trait: True})

    answer = post(api_client("operate"), f"{LIST}/{operation.pk}/{verb}")

    assert answer.status_code == 409
    assert answer.json()["operation_id"] == str(operation.pk)


def test_reading_needs_read_and_changing_needs_operate(api_client):
    operation = OperationFactory()
    reader, asker = api_client("read"), api_client("inference")

    assert post(reader, PROBE, {"seconds": 1}).status_code == 403
    assert post(reader, f"{LIST}/{operation.pk}/cancel").status_code == 403
    assert asker.get(LIST).json()["required_scope"] == "read"
    assert asker.get(f"{LIST}/{operation.pk}").status_code == 403
