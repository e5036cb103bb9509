"""GET /api/v1/history/requests/export: a stream of any length."""

import csv
import io
import json
import time

import psutil
import pytest

from bench import history_rows
from history_app.models import RequestRecord
from history_app.services import export, search
from runtime_app.models import ApiKey
from tests.factories.history import RequestRecordFactory
from venom_site.lib.access import Scope

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/api/v1/history/requests"
URL = f"{LIST}/export"


@pytest.fixture
def reader(gateway):
    """reader("govern") → an HTTP client whose key has that scope."""

    def make(scope: str = "read"):
        return gateway.http(gateway.new_key(f"for-{scope}", Scope(scope)))

    return make


@pytest.fixture
def looks(monkeypatch) -> list:
    """Grows by one for each page that is read."""
    found: list[int] = []

    def counted(*words, **wishes):
        found.append(1)
        return search.page_of(*words, **wishes)

    monkeypatch.setattr(export, "page_of", counted)
    return found


def exported(client, **query) -> str:
    answer = client.get(URL, params=query)
    assert answer.status_code == 200, answer.text
    return answer.text


def json_rows(client, **query) -> list[dict]:
    text = exported(client, format="jsonl", **query)
    return [json.loads(line) for line in text.splitlines()]


def csv_rows(client, **query) -> list[dict]:
    text = exported(client, format="csv", **query)
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_json_lines_are_the_rows_of_the_list(reader):
    RequestRecordFactory(failed=True, error_message="Żółw\nsays no")
    RequestRecordFactory(running=True)
    client = reader("govern")
    assert json_rows(client) == client.get(LIST).json()["requests"]


def test_csv_has_a_line_of_names_and_one_for_each_row(reader):
    RequestRecordFactory(
        failed=True, prompt_preview='say "hi",\nthen; go', fallback=True
    )
    client = reader("govern")

    [row] = csv_rows(client)

    listed = client.get(LIST).json()["requests"][0]
    assert list(row) == list(listed)
    assert row["prompt"] == 'say "hi",\nthen; go'
    assert (row["status"], row["fallback"]) == ("FAILED", "true")
    assert (row["session_id"], row["duration_seconds"]) == ("", "1.25")


def test_without_rows_the_names_are_all_there_is(reader):
    client = reader()
    assert exported(client, format="csv").count("\n") == 1
    assert exported(client, format="jsonl") == ""


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t"])
def test_no_text_of_a_client_is_a_formula_in_a_spreadsheet(reader, first):
    evil = f"{first}HYPERLINK(1)"
    RequestRecordFactory(requested_model=evil)
    client = reader()
    assert csv_rows(client)[0]["requested_model"] == f"'{evil}"
    assert json_rows(client)[0]["requested_model"] == evil


def test_contents_are_for_those_who_may_view_them(reader):
    RequestRecordFactory(prompt_preview="the weather")
    client = reader("read")
    assert "weather" not in exported(client, format="csv")
    assert json_rows(client)[0]["content_hidden"] is True
    assert "weather" in exported(reader("govern"), format="csv")


def test_a_key_of_inference_exports_its_own(gateway):
    own = str(ApiKey.objects.get().pk)
    mine = RequestRecordFactory(key_id=own)
    RequestRecordFactory()
    [row] = json_rows(gateway.http())
    assert row["request_id"] == mine.request_id


def test_the_filters_are_those_of_the_list(reader, monkeypatch):
    wanted = RequestRecordFactory(failed=True, llm_provider="lab")
    RequestRecordFactory.create_batch(5, failed=True)
    monkeypatch.setattr(search, "MOST_LOOKED_AT", 2)
    rows = json_rows(reader(), status="FAILED", provider="lab")
    assert [row["request_id"] for row in rows] == [wanted.request_id]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({}, "format"),
        ({"format": "xml"}, "format"),
        ({"format": "csv", "since": "yesterday"}, "since"),
        ({"format": "csv", "min_duration": "-1"}, "min_duration"),
    ],
)
def test_a_wrong_query_is_400_and_named(api_client, query, named):
    answer = api_client("read").get(URL, query)
    assert answer.status_code == 400
    assert named in answer.json()["errors"][0]["loc"]


def test_without_a_key_it_is_401(client):
    assert client.get(URL, {"format": "csv"}).status_code == 401


@pytest.mark.parametrize(
    ("form", "kind"), [("csv", "text/csv"), ("jsonl", "application/x-ndjson")]
)
def test_it_is_a_file_to_be_saved(reader, form, kind):
    answer = reader().get(URL, params={"format": form})
    assert answer.headers["Content-Type"].startswith(kind)
    saved = answer.headers["Content-Disposition"]
    assert saved.startswith('attachment; filename="venom-requests-')
    assert saved.endswith(f'Z.{form}"')


def test_who_asks_only_for_the_head_costs_no_look(reader, looks):
    answer = reader().head(URL, params={"format": "csv"})
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].endswith('.csv"')
    assert looks == []


def test_rows_that_come_meanwhile_leave_it_whole_and_in_order(reader, monkeypatch):
    monkeypatch.setattr(export, "PAGE_ROWS", 20)
    history_rows.fill(300)
    there = [row.request_id for row in RequestRecord.objects.newest_first()]
    seen = []
    with reader().stream("GET", URL, params={"format": "jsonl"}) as answer:
        for line in answer.iter_lines():
            seen.append(json.loads(line)["request_id"])
            if len(seen) % 50 == 1:
                RequestRecordFactory()

    assert [name for name in seen if name in set(there)] == there
    assert len(seen) == len(set(seen))


@pytest.mark.slow
def test_fifty_thousand_rows_take_the_memory_of_a_page(reader):
    history_rows.fill(50_000)
    client = reader("govern")
    exported(client, format="jsonl", status="LOST")
    process = psutil.Process()
    before = most = process.memory_info().rss
    seen = size = 0
    with client.stream("GET", URL, params={"format": "csv"}) as answer:
        for part in answer.iter_raw():
            size += len(part)
            seen += part.count(b"\n")
            most = max(most, process.memory_info().rss)

    assert seen == 50_001
    assert size > 35e6
    assert most - before < 25e6


def test_a_reader_that_leaves_ends_it(reader, looks, monkeypatch):
    history_rows.fill(4_000)
    monkeypatch.setattr(export, "PAGE_ROWS", 10)
    with reader("govern").stream("GET", URL, params={"format": "csv"}) as answer:
        next(answer.iter_raw())
    time.sleep(0.3)
    soon = len(looks)
    time.sleep(0.5)

    assert len(looks) == soon < 400
