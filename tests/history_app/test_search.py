"""Looking for requests: an index for each filter, a bounded look for several."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from history_app.models import RequestRecord
from history_app.services import filters, search
from history_app.services.filters import RequestFilters
from runtime_app.models import ApiKey
from tests.factories.history import RequestRecordFactory
from venom_site.lib.errors import BadRequest

pytestmark = pytest.mark.django_db
URL = "/api/v1/history/requests"
FAILED_LAB = RequestFilters(status="FAILED", provider="lab")


def pages_of(wanted: RequestFilters, *, limit: int = 50) -> list[search.Page]:
    pages = [search.page_of(wanted, limit=limit)]
    while pages[-1].next_cursor:
        cursor = pages[-1].next_cursor
        pages.append(search.page_of(wanted, limit=limit, cursor=cursor))
    return pages


def ids_of(pages) -> list[str]:
    return [row.request_id for page in pages for row in page.items]


@pytest.fixture
def look_at(monkeypatch):
    """look_at(3): so many rows are looked at for one page."""
    return lambda rows: monkeypatch.setattr(search, "MOST_LOOKED_AT", rows)


@pytest.fixture
def few(monkeypatch):
    """few(1): more rows than that are walked, not sorted."""
    return lambda rows: monkeypatch.setattr(filters, "FEW_ROWS", rows)


@pytest.fixture
def mixed():
    """Twelve failed rows, every fifth of the lab; those of the lab, newest first."""
    rows = [
        RequestRecordFactory(failed=True, llm_provider="ollama" if n % 5 else "lab")
        for n in range(12)
    ]
    return [row.request_id for row in reversed(rows) if row.llm_provider == "lab"]


def test_several_filters_look_so_far_say_how_far_and_go_on(mixed, look_at):
    look_at(4)

    pages = pages_of(FAILED_LAB)

    assert ids_of(pages) == mixed
    assert [len(page.items) for page in pages] == [1, 1, 1, 0]
    assert [page.complete for page in pages] == [False, False, False, True]
    oldest = [page.scanned_until for page in pages[:-1]]
    assert oldest == sorted(oldest, reverse=True)
    assert oldest[0] == RequestRecord.objects.newest_first()[3].created_at


def test_a_full_page_of_several_filters_is_complete(mixed, look_at):
    look_at(11)

    pages = pages_of(FAILED_LAB, limit=1)

    assert ids_of(pages) == mixed
    assert pages[0].complete


def test_the_look_never_passes_its_bound(mixed, look_at, few):
    look_at(3)
    few(0)
    for wanted in (FAILED_LAB, RequestFilters(q="gemma", min_duration=1.0)):
        for page in pages_of(wanted):
            assert page.complete or len(page.items) <= 3


@pytest.mark.parametrize(
    "wanted",
    [
        {"status": "FAILED"},
        {"provider": "lab"},
        {"model": "far"},
        {"error_code": "upstream_offline"},
        {"key": "k-far"},
        {"key": "cron"},
        {"session_id": "s-far"},
        {"fallback": True},
        {"is_cloud": True, "provider": ""},
        {"min_duration": 60.0},
        {"q": "fa"},
    ],
)
def test_one_filter_finds_a_single_row_however_far_back(wanted, look_at):
    far = RequestRecordFactory(
        failed=True,
        llm_provider="google" if "is_cloud" in wanted else "lab",
        llm_model="far",
        key_id="k-far",
        key_name="cron",
        session_id="s-far",
        fallback=True,
        duration_seconds=99,
    )
    RequestRecordFactory.create_batch(6)
    look_at(2)

    [page] = pages_of(RequestFilters(**wanted))

    assert ids_of([page]) == [far.request_id]
    assert page.complete


def test_what_matches_many_rows_is_walked_and_nothing_is_missed(look_at, few):
    rows = [RequestRecordFactory(key_name="cron" if n % 3 else "x") for n in range(9)]
    look_at(4)
    few(2)

    pages = pages_of(RequestFilters(q="cr"))

    wanted = [row.request_id for row in reversed(rows) if row.key_name == "cron"]
    assert ids_of(pages) == wanted
    assert not pages[0].complete


def test_a_few_matches_are_checked_for_the_other_filters(look_at):
    one = RequestRecordFactory(key_name="cron", failed=True)
    RequestRecordFactory(key_name="cron")
    RequestRecordFactory.create_batch(5, failed=True)
    look_at(3)

    [page] = pages_of(RequestFilters(q="cron", status="FAILED"))

    assert ids_of([page]) == [one.request_id]


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("qwen", True),
        ("QWEN/QWEN2.5-7B", True),
        ("Qwen/Qwen2.5-7Bx", False),
        ("wen", False),
        ("%", False),
        ("_wen", False),
        ("Żó", True),
        ("", True),
    ],
)
def test_a_beginning_is_found_in_any_case_and_holds_no_wildcards(text, is_found):
    row = RequestRecordFactory(llm_model="Qwen/Qwen2.5-7B", key_name="Żółw")
    assert ids_of(pages_of(RequestFilters(q=text))) == [row.request_id] * is_found


def test_the_longest_text_a_database_can_hold_is_a_beginning_like_any_other():
    RequestRecordFactory()
    assert ids_of(pages_of(RequestFilters(q="\U0010ffff" * 200))) == []


def test_a_key_is_named_by_its_id_or_else_by_its_name():
    by_id = RequestRecordFactory(key_id="k-2", key_name="cron")
    by_name = RequestRecordFactory(key_id="k-9", key_name="Nightly")
    assert ids_of(pages_of(RequestFilters(key="k-2"))) == [by_id.request_id]
    assert ids_of(pages_of(RequestFilters(key="nightly"))) == [by_name.request_id]


@pytest.mark.parametrize(
    "query", [{}, {"status": "FAILED"}, {"key": "k-1"}, {"q": "gemma"}]
)
def test_a_key_of_inference_finds_only_its_own_whatever_it_asks(api_client, query):
    client = api_client("inference")
    own = str(ApiKey.objects.get().pk)
    mine = RequestRecordFactory(key_id=own, failed=True)
    RequestRecordFactory(failed=True)

    found = client.get(URL, query).json()["requests"]

    wanted = [] if "key" in query else [mine.request_id]
    assert [row["request_id"] for row in found] == wanted


def test_the_api_says_how_far_it_looked(api_client, mixed, look_at):
    look_at(4)
    query = {"status": "FAILED", "provider": "lab"}
    client = api_client("read")

    body = client.get(URL, query).json()
    following = client.get(URL, query | {"cursor": body["next"]}).json()

    assert body["complete"] is False
    assert body["scanned_until"].endswith("Z")
    assert following["requests"][0]["request_id"] == mixed[1]
    assert client.get(URL).json()["complete"] is True
    assert client.get(URL).json()["scanned_until"] is None


def test_the_page_leads_on_where_a_look_found_nothing(page_client, mixed, look_at):
    RequestRecordFactory.create_batch(4, failed=True)
    look_at(3)

    answer = page_client("Viewer").get("/requests/?status=FAILED&provider=lab")

    page = answer.context["page"]
    assert (page.items, page.complete) == ([], False)
    assert page.next_cursor in answer.content.decode()


def test_running_requests_are_checked_for_every_filter():
    RequestRecordFactory(running=True)
    wanted = RequestRecordFactory(running=True, llm_provider="lab", key_name="cron")
    RequestRecordFactory(llm_provider="lab", key_name="cron")

    found = search.running(RequestFilters(provider="lab", q="cron"), limit=5)

    assert [row.pk for row in found] == [wanted.pk]


def test_lists_leave_the_large_columns_in_the_database():
    RequestRecordFactory()
    [row] = search.page_of(RequestFilters(), limit=1).items
    assert row.get_deferred_fields() >= {"trace", "parameters", "answer_preview"}


def test_a_bad_cursor_is_refused():
    with pytest.raises(BadRequest):
        search.page_of(FAILED_LAB, limit=1, cursor="nonsense")


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({}, "request_newest"),
        ({"status": "FAILED"}, "request_status"),
        ({"status": "COMPLETED"}, "request_status"),
        ({"provider": "ollama"}, "request_provider"),
        ({"model": "gemma3:4b"}, "request_llm_model"),
        ({"error_code": "upstream_offline"}, "request_error"),
        ({"key": "bot"}, "request_key_name"),
        ({"key": "k-1"}, "request_key"),
        ({"own_key_id": "k-1", "status": "FAILED"}, "request_key"),
        ({"session_id": "s"}, "request_session"),
        ({"fallback": True}, "request_fallback"),
        ({"is_cloud": True}, "request_cloud"),
        ({"status": "FAILED", "model": "gemma3:4b"}, "request_status"),
        ({"status": "COMPLETED", "model": "gemma3:4b"}, "request_llm_model"),
    ],
)
def test_the_database_takes_the_index_meant_for_the_filter(wanted, index):
    RequestRecordFactory()
    way = filters.way_to(RequestFilters(**wanted))
    rows = RequestRecord.objects.filter(way.lead).checked_for(way.others)
    assert f"{index} " in f"{plan_of(rows.newest_first()[:51])} "


def test_a_beginning_of_any_searched_column_is_an_index_range():
    RequestRecordFactory()
    for name, index in [
        ("request_id", "request_called"),
        ("session_id", "request_session"),
        ("key_name", "request_key_name"),
        ("llm_model", "request_llm_model"),
        ("requested_model", "request_requested"),
    ]:
        rows = filters.beginnings(name, "x")[:5]
        plan = plan_of(rows)
        assert f"{index} " in plan
        assert "SCAN" not in plan.replace("Index Only Scan", "")


def plan_of(rows) -> str:
    """What the planner would do with a large table."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
    return rows.explain()


def index_names() -> set[str]:
    table = RequestRecord._meta.db_table
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, table)
    kept = {name for name, facts in found.items() if facts["index"]}
    return {name for name in kept if not found[name]["primary_key"]}


@pytest.mark.django_db(transaction=True)
def test_the_indexes_come_and_go_with_their_migration_and_rows_stay():
    row = RequestRecordFactory()
    planned = {index.name for index in RequestRecord._meta.indexes}
    assert planned <= index_names()

    migrate("0002_trace_and_contents")
    before = index_names()
    migrate("0003_request_indexes")

    assert "request_session" not in before
    assert any("request_id" in name for name in before)
    assert {n for n in index_names() if "autoindex" not in n} == planned
    assert RequestRecord.objects.get() == row


@pytest.mark.django_db(transaction=True)
def test_a_build_of_the_indexes_that_was_cut_may_run_again():
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL leaves an invalid index behind")
    migrate("0002_trace_and_contents")
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE INDEX request_called ON history_app_requestrecord (path)"
        )
    migrate("0003_request_indexes")
    assert "request_session" in index_names()


def migrate(name: str) -> None:
    executor = MigrationExecutor(connection)
    executor.migrate([("history_app", name)])
