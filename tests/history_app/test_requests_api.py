"""GET /api/v1/history/requests and one of them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from runtime_app.models import ApiKey
from tests.factories.history import TRACE, RequestRecordFactory

URL = "/api/v1/history/requests"
FIELDS = {
    "request_id",
    "prompt",
    "status",
    "session_id",
    "created_at",
    "finished_at",
    "duration_seconds",
    "llm_provider",
    "llm_model",
    "llm_endpoint",
    "requested_model",
    "runtime",
    "ttft_ms",
    "prompt_tokens",
    "completion_tokens",
    "cost_usd",
    "attempts",
    "fallback",
    "partial",
    "error_code",
    "error_class",
    "error_message",
    "error_retryable",
}
pytestmark = pytest.mark.django_db


def listed(client, **query) -> list[str]:
    answer = client.get(URL, query)
    assert answer.status_code == 200, answer.content
    return [row["request_id"] for row in answer.json()["requests"]]


def test_a_row_has_the_fields_of_the_contract(api_client):
    RequestRecordFactory()
    body = api_client("govern").get(URL).json()
    row = body["requests"][0]
    assert body["success"] is True
    assert set(row) >= FIELDS
    assert row["ttft_ms"] == 250
    assert (row["prompt_tokens"], row["completion_tokens"]) == (5, 7)
    assert row["prompt"] == "What is the weather?"
    assert row["created_at"].endswith("Z")
    assert "content_hidden" not in row
    assert body["next"] is None


def test_a_running_request_has_no_end(api_client):
    RequestRecordFactory(running=True)
    row = api_client("read").get(URL).json()["requests"][0]
    assert row["status"] == "PROCESSING"
    assert row["finished_at"] is None
    assert row["duration_seconds"] is None


def test_without_view_payload_contents_are_hidden(api_client):
    RequestRecordFactory()
    client = api_client("read")
    row = client.get(URL).json()["requests"][0]
    assert row["prompt"] is None
    assert row["content_hidden"] is True
    detail = client.get(f"{URL}/{row['request_id']}").json()
    assert (detail["prompt"], detail["content_hidden"]) == (None, True)
    assert "weather" not in str(detail)


def test_a_key_of_inference_sees_only_its_own(api_client):
    client = api_client("inference")
    mine = RequestRecordFactory(key_id=str(ApiKey.objects.get().pk))
    other = RequestRecordFactory()
    assert listed(client) == [mine.request_id]
    assert client.get(f"{URL}/{mine.request_id}").status_code == 200
    assert client.get(f"{URL}/{other.request_id}").status_code == 404


def test_without_a_key_it_is_401(client, db):
    assert client.get(URL).status_code == 401


def test_a_signed_in_viewer_may_read(page_client):
    RequestRecordFactory()
    assert len(listed(page_client("Viewer"))) == 1


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "FAILED"}, "b"),
        ({"provider": "lab"}, "b"),
        ({"model": "practice-7b"}, "b"),
        ({"error_code": "upstream_offline"}, "b"),
        ({"key": "cron"}, "b"),
        ({"key": "k-2"}, "b"),
        ({"session_id": "s-9"}, "b"),
        ({"fallback": "true"}, "b"),
        ({"fallback": "false"}, "a"),
        ({"min_duration": "5"}, "b"),
        ({"q": "practice"}, "b"),
        ({"q": "cro"}, "b"),
        ({"q": "weather"}, ""),
        ({"until": "2026-01-01T00:00:00Z"}, "b"),
        ({"since": "2026-01-01T00:00:00"}, "a"),
        ({"status": "FAILED", "provider": "ollama"}, ""),
    ],
)
def test_each_filter_finds_what_it_names(api_client, query, found):
    RequestRecordFactory(request_id="a")
    RequestRecordFactory(
        request_id="b",
        failed=True,
        created_at=datetime(2025, 5, 5, tzinfo=UTC),
        llm_provider="lab",
        llm_model="practice-7b",
        key_name="cron",
        key_id="k-2",
        session_id="s-9",
        fallback=True,
        duration_seconds=9,
    )
    assert "".join(listed(api_client("read"), **query)) == found


def test_pages_follow_each_other_without_a_gap(api_client):
    moment = timezone.now()
    # Three share a moment: the id decides there.
    rows = [RequestRecordFactory(created_at=moment) for _ in range(3)]
    rows += [
        RequestRecordFactory(created_at=moment + timedelta(seconds=n))
        for n in range(1, 5)
    ]
    client = api_client("read")
    seen, cursor = [], ""
    while cursor is not None:
        body = client.get(URL, {"limit": 2, "cursor": cursor}).json()
        seen += [row["request_id"] for row in body["requests"]]
        cursor = body["next"]
    assert seen == [row.request_id for row in reversed(rows)]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "many"},
        {"status": "DONE"},
        {"since": "yesterday"},
        {"min_duration": "nan"},
        {"min_duration": "-1"},
        {"fallback": "perhaps"},
        {"cursor": "nonsense"},
        {"q": "x" * 300},
    ],
)
def test_a_wrong_query_value_is_400_and_named(api_client, query):
    answer = api_client("read").get(URL, query)
    assert answer.status_code == 400
    body = answer.json()
    assert body["code"] == "bad_request"
    assert next(iter(query)) in body["errors"][0]["loc"]


def test_a_request_is_found_by_both_its_ids_with_steps_and_hops(api_client):
    row = RequestRecordFactory(request_id="job-1", failed=True)
    client = api_client("read")
    detail = client.get(f"{URL}/job-1").json()
    assert detail == client.get(f"{URL}/{row.pk}").json()
    assert detail["success"] is True
    assert [step["action"] for step in detail["steps"]] == [
        "received",
        "chosen",
        "first_token",
        "finished",
    ]
    assert set(detail["steps"][0]) == {
        "component",
        "action",
        "timestamp",
        "status",
        "details",
    }
    hop = detail["hops"][0]
    assert (hop["provider"], hop["reason_code"]) == ("ollama", "OFFLINE")
    assert detail["routing"]["requested_model"] == "auto"


def test_a_traced_request_tells_who_was_asked_and_why(api_client):
    row = RequestRecordFactory(traced=True, fallback=True)
    detail = api_client("read").get(f"{URL}/{row.pk}").json()
    assert detail["routing"]["candidates"] == TRACE["candidates"]
    assert [(hop["status"], hop["error_code"]) for hop in detail["hops"]] == [
        (None, "upstream_offline"),
        (200, None),
    ]
    assert {"provider", "model", "endpoint", "duration_ms", "reason_code"} <= set(
        detail["hops"][0]
    )
    assert [step["action"] for step in detail["steps"]] == ["received", "first_token"]
    assert detail["steps"][0]["details"] is None
    assert detail["notes"] == TRACE["notes"]


def test_a_request_refused_before_a_server_was_asked_has_no_hops(api_client):
    trace = {**TRACE, "hops": []}
    row = RequestRecordFactory(failed=True, trace=trace, attempts=1)
    assert api_client("read").get(f"{URL}/{row.pk}").json()["hops"] == []


def test_the_times_of_a_request_are_told_in_milliseconds(api_client):
    client = api_client("read")
    row = RequestRecordFactory(queue_seconds=0.5, overhead_seconds=0.002)
    detail = client.get(f"{URL}/{row.pk}").json()
    times = {name: detail[f"{name}_ms"] for name in ("queue", "generation", "overhead")}
    assert times == {"queue": 500, "generation": 1000, "overhead": 2}
    unknown = RequestRecordFactory(ttft_seconds=None)
    detail = client.get(f"{URL}/{unknown.pk}").json()
    assert (detail["queue_ms"], detail["generation_ms"]) == (None, None)


def test_the_answer_is_for_those_who_may_see_contents(api_client):
    row = RequestRecordFactory(traced=True)
    shown = api_client("govern").get(f"{URL}/{row.pk}").json()
    hidden = api_client("read").get(f"{URL}/{row.pk}").json()
    assert (shown["answer"], hidden["answer"]) == ("It is sunny.", None)


@pytest.mark.parametrize("name", ["nope", "0", "a" * 3000, "../../x"])
def test_an_id_that_cannot_be_is_404(api_client, name):
    answer = api_client("read").get(f"{URL}/{name}")
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


def test_a_list_asks_the_database_once(api_client, django_assert_max_num_queries):
    RequestRecordFactory.create_batch(30)
    client = api_client("read")
    client.get(URL)
    with django_assert_max_num_queries(2):  # the key and the rows
        client.get(URL)
