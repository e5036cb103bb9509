"""The page of alerts, its buttons, and the banners of every page."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from models_app.models import Operation
from runtime_app.choices import ActivationState
from runtime_app.models import Activation, Alert
from runtime_app.services.alerts import Trouble, raise_alert
from tests.factories import AlertFactory, OperationFactory, RuntimeFactory
from tests.factories.history import RequestRecordFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def look(page_client):
    """look("/alerts/") → the text of the page as an operator sees it."""
    client = page_client("Operator")

    def at(path="/alerts/", **query):
        answer = client.get(path, query)
        assert answer.status_code == 200
        return answer.content.decode()

    return at


def shown(html, alert):
    return f'id="alert-{alert.pk}"' in html


def test_each_alert_is_in_one_of_three_lists(look):
    alerts = {
        "open": AlertFactory(),
        "silenced": AlertFactory(silenced=True),
        "closed": AlertFactory(closed=True),
    }
    for state in alerts:
        html = look(state=state)
        assert [name for name, row in alerts.items() if shown(html, row)] == [state]
        assert "1 open · 1 silenced · 1 closed this week" in html
    assert shown(look(state="nonsense"), alerts["open"])


def test_a_row_says_what_how_often_and_where_to_look(look):
    began = timezone.now() - timedelta(minutes=6)
    AlertFactory(model="gemma3:4b", count=14, first_seen_at=began)

    html = look()

    assert "Ollama at 127.0.0.1:9 answered 404 for gemma3:4b." in html
    assert "14 times in 6:00" in html
    assert "/requests/?status=FAILED&amp;model=gemma3%3A4b&amp;since=" in html.replace(
        "&model", "&amp;model"
    ).replace("&since", "&amp;since")
    assert "/requests/?q=req-1" in html


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"error_class": "OFFLINE", "http_status": None},
            "does not accept connections",
        ),
        ({"error_class": "TIMEOUT", "http_status": None}, "did not answer in time"),
        ({"error_class": "DEGRADED", "http_status": None}, "broke off its answer"),
        ({"error_class": "DEGRADED", "http_status": 500}, "answered 500 for"),
        ({"code": "activation_failed"}, "could not be activated on Ollama"),
        ({"code": "new_code", "http_status": None, "error_class": ""}, "as it came"),
        ({"code": "memory_high", "error_class": "GPU 1"}, "is nearly full (GPU 1)"),
    ],
)
def test_every_kind_of_trouble_has_its_sentence(fields, words):
    assert words in AlertFactory(message="as it came", **fields).sentence


def test_what_changed_before_it_is_named_and_nothing_older(look):
    alert = AlertFactory()

    def operation(minutes_ago, **fields):
        moment = alert.first_seen_at - timedelta(minutes=minutes_ago)
        row = OperationFactory(completed=True, **fields)
        moments = {"started_at": moment, "completed_at": moment}
        Operation.objects.filter(pk=row.pk).update(**moments)
        return row

    near, old, later = operation(2), operation(11), operation(-1)

    html = look()

    assert f"/operations/{near.pk}/" in html
    assert f"/operations/{old.pk}/" not in html
    assert f"/operations/{later.pk}/" not in html


def test_a_page_of_alerts_asks_as_often_as_a_page_of_one(
    page_client, django_assert_max_num_queries
):
    client = page_client()
    AlertFactory.create_batch(20)
    client.get("/alerts/")
    with django_assert_max_num_queries(14):
        client.get("/alerts/")


def test_the_empty_page_says_when_the_last_one_closed(look):
    assert "No open alerts." in look()
    AlertFactory(closed=True)
    assert re.search(r"No open alerts\. The last one closed \d+ s ago\.", look())


def test_older_alerts_are_on_the_next_page(look, monkeypatch):
    monkeypatch.setattr("runtime_app.views.alerts.PAGE_SIZE", 2)
    rows = AlertFactory.create_batch(3)
    first = look()
    assert [shown(first, row) for row in rows] == [False, True, True]
    cursor = re.search(r"cursor=([^\"&]+)\" rel=\"next\"", first)[1]
    assert [shown(look(cursor=cursor), row) for row in rows] == [True, False, False]


# Buttons


def test_silencing_needs_a_reason_and_says_it(page_client):
    alert, client = AlertFactory(), page_client("Operator")
    address = f"/alerts/{alert.pk}/silence/"

    refused = client.post(address, {"reason": ""})
    assert refused.status_code == 422
    answer = client.post(
        address, {"reason": "new disk"}, headers={"HX-Request": "true"}
    )

    html = answer.content.decode()
    assert shown(html, alert)
    assert "Silenced by operator: new disk" in html
    assert "Silenced for 1 h." in html
    alert.refresh_from_db()
    left = alert.silenced_until - timezone.now()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


def test_closing_without_a_script_leads_back_to_the_page(page_client):
    alert, client = AlertFactory(), page_client("Operator")
    answer = client.post(f"/alerts/{alert.pk}/close/")
    assert answer.status_code == 302
    assert answer["Location"] == f"/alerts/?state=closed#alert-{alert.pk}"
    assert "Closed by operator" in client.get("/alerts/?state=closed").content.decode()


def test_who_may_only_read_sees_no_buttons(page_client):
    AlertFactory()
    html = page_client("Viewer").get("/alerts/").content.decode()
    assert "/close/" not in html
    assert "/silence/" not in html
    assert "View 1 request" in html


# Banners


def test_the_banner_stands_on_every_page_without_a_script(look):
    AlertFactory(model="gemma3:4b", count=3)
    for path in ("/", "/models/", "/requests/", "/help/"):
        html = look(path)
        assert "Ollama at 127.0.0.1:9 answered 404 for gemma3:4b." in html, path
        assert "3 requests failed there since" in html
        assert "favicon-alert" in html
        assert re.search(r'id="nav-alerts">1<', html)


def test_the_banner_of_a_crash_counts_no_requests(look):
    AlertFactory(code="server_crashed", message="It exited with 1.", count=2)
    html = look("/help/")
    assert "Seen 2 times since" in html
    assert "failed there" not in html


def test_the_overview_does_not_call_it_running(look, active):
    assert "Everything is running." in look("/")
    AlertFactory()
    assert "One thing needs attention. Everything else is running." in look("/")


def test_three_banners_newest_first_and_how_many_more(look):
    now = timezone.now()
    for number in range(5):
        seen = now - timedelta(minutes=number)
        AlertFactory(model=f"model-{number}", last_seen_at=seen, first_seen_at=seen)
    html = look("/help/")
    assert re.findall(r"<b>Ollama at \S+ answered 404 for (model-\d)\.", html) == [
        "model-0",
        "model-1",
        "model-2",
    ]
    assert "and 2 more" in html


def test_silenced_closed_and_mere_warnings_have_no_banner(look):
    AlertFactory(silenced=True)
    AlertFactory(closed=True)
    AlertFactory(severity="warning")
    html = look("/help/")
    assert "answered 404" not in html
    assert "favicon-alert" not in html


# Answers that come from elsewhere


@pytest.fixture
def active(db):
    runtime = RuntimeFactory(online=True)
    return Activation.objects.create(
        node=runtime.node,
        runtime=runtime,
        model_name="gemma3:4b",
        served_name="gemma3:4b",
        state=ActivationState.ACTIVE,
    )


def answered(runtime, *, fallback=False, seconds_ago=0.0):
    return RequestRecord.objects.create(
        request_id="r",
        runtime=runtime,
        llm_model="gemma3:4b",
        fallback=fallback,
        reason_code="FALLBACK_OFFLINE" if fallback else "PRIMARY_PROVIDER_SELECTED",
        status=RequestStatus.COMPLETED,
        created_at=timezone.now() - timedelta(seconds=seconds_ago),
    )


def test_chip_and_box_say_when_another_runtime_answers(look, active):
    assert "answers come from" not in look("/help/")
    answered("shed", fallback=True, seconds_ago=5)
    assert "answers come from shed" in look("/help/")
    assert "Requests are answered by shed instead." in look("/models/")
    assert "FALLBACK_OFFLINE" in look("/models/")


def test_the_chip_forgets_a_fallback_once_the_active_one_answers_or_in_time(
    look, active
):
    answered("shed", fallback=True, seconds_ago=130)
    assert "answers come from" not in look("/help/")
    answered("shed", fallback=True, seconds_ago=10)
    answered("ollama", seconds_ago=5)
    assert "answers come from" not in look("/help/")


# The API


def test_the_list_filters_by_state_and_pages(api_client):
    rows = AlertFactory.create_batch(3)
    AlertFactory(closed=True)
    AlertFactory(silenced=True)
    client = api_client("read")

    every = client.get("/api/v1/alerts").json()
    first = client.get("/api/v1/alerts?state=open&limit=2").json()
    rest = client.get(
        "/api/v1/alerts", {"state": "open", "limit": 2, "cursor": first["next"]}
    ).json()

    assert every["count"] == 5
    assert [a["state"] for a in every["alerts"]].count("silenced") == 1
    found = [alert["id"] for alert in first["alerts"] + rest["alerts"]]
    assert found == [str(row.pk) for row in reversed(rows)]
    assert rest["next"] is None
    assert client.get("/api/v1/alerts?state=loud").status_code == 400


def test_a_program_silences_and_closes(api_client):
    alert, client = AlertFactory(), api_client("operate")
    address = f"/api/v1/alerts/{alert.pk}"
    body = {"hours": 2, "reason": "new disk"}

    silenced = client.post(f"{address}/silence", body, "application/json").json()
    closed = client.post(f"{address}/close").json()
    again = client.post(f"{address}/silence", body, "application/json")

    assert silenced["alert"]["state"] == "silenced"
    assert silenced["alert"]["silence_reason"] == "new disk"
    assert closed["alert"]["state"] == "closed"
    assert closed["alert"]["closed_by"] == "operate"
    assert (again.status_code, again.json()["code"]) == (409, "alert_closed")
    assert Alert.objects.get().closed_at is not None


def test_an_unknown_alert_is_404(api_client):
    client = api_client("operate")
    for call in ("close", "silence"):
        answer = client.post(f"/api/v1/alerts/nothing/{call}", "", "application/json")
        assert answer.status_code == 404


def test_the_page_of_a_request_leads_to_the_alert_of_its_server(page_client):
    row = RequestRecordFactory(traced=True, fallback=True)
    hop = row.trace["hops"][0]
    alert = AlertFactory(endpoint=hop["endpoint"], model=hop["model"])
    AlertFactory(endpoint="http://127.0.0.1:9", key="x", model=hop["model"])
    client = page_client("Viewer")
    page = client.get(row.get_absolute_url()).content.decode()
    assert page.count(f'href="{alert.get_absolute_url()}"') >= 1
    good = RequestRecordFactory()
    page = client.get(good.get_absolute_url()).content.decode()
    assert "<footer>" not in page.split('id="hops-title"')[1].split("</section>")[0]


@pytest.mark.parametrize(
    ("status", "alert_runtime", "said"),
    [
        ("online", "", "Everything is running."),
        ("offline", "", "One thing needs attention."),
        ("offline", "ollama", "One thing needs attention."),
        ("offline", "vllm", "2 things need attention."),
        ("online", "vllm", "One thing needs attention. Everything else is running."),
    ],
)
def test_a_server_in_trouble_and_its_alert_are_one_thing(
    look, active, status, alert_runtime, said
):
    active.runtime.status = status
    active.runtime.save()
    if alert_runtime:
        AlertFactory(runtime=alert_runtime)
    page = look("/")
    assert f"<p>{said}</p>" in page


def test_a_full_memory_is_shown_with_its_figures_and_without_a_banner(page_client):
    raise_alert(
        Trouble(
            code="memory_high",
            severity="warning",
            subject="test-node/memory",
            node="test-node",
            error_class="RAM",
            message="Memory of test-node: 21.0 GiB of 24.0 GiB used (88 %).",
        )
    )
    page = page_client("Operator").get("/alerts/").content.decode()
    assert "The memory of test-node is nearly full (RAM)." in page
    assert "21.0 GiB of 24.0 GiB used (88 %)" in page
    assert '<div class="banner">' not in page
