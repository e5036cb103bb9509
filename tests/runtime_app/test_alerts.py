"""Alerts: one for each trouble, counted, silenced, closed by what disproves it."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from history_app.choices import RequestStatus
from history_app.models import AuditEntry, RequestRecord
from runtime_app.choices import RuntimeStatus
from runtime_app.governance.policy import policy_number
from runtime_app.models import Alert
from runtime_app.monitoring.alerts import close_what_cleared
from runtime_app.services import alerts
from runtime_app.services.alerts import Trouble, raise_alert
from tests.factories import AlertFactory, RuntimeFactory
from venom_site.lib.access import SYSTEM
from venom_site.lib.errors import NotFound

pytestmark = pytest.mark.django_db(transaction=True)


def trouble(**fields):
    known = {
        "code": alerts.LLM_PROVIDER_ERROR,
        "message": "Ollama at http://127.0.0.1:9/v1 answered 404",
        "provider": "ollama",
        "runtime": "ollama",
        "model": "gemma3:4b",
        "endpoint": "http://127.0.0.1:9/v1",
        "node": "test-node",
        "error_class": "MODEL_NOT_FOUND",
        "http_status": 404,
        "request_id": "req-1",
    }
    return Trouble(**(known | fields))


def test_the_same_trouble_is_one_alert_that_counts():
    raise_alert(trouble())

    alert = raise_alert(trouble(request_id="req-2", http_status=500, times=3))

    assert Alert.objects.count() == 1
    assert (alert.count, alert.request_id, alert.http_status) == (4, "req-2", 500)
    assert alert.first_seen_at < alert.last_seen_at


@pytest.mark.parametrize(
    "other",
    [{"model": "qwen3:0.6b"}, {"endpoint": "http://127.0.0.1:8/v1"}, {"code": "other"}],
)
def test_another_model_server_or_code_is_another_alert(other):
    raise_alert(trouble())
    raise_alert(trouble(**other))
    assert Alert.objects.open().count() == 2


def test_a_trouble_that_comes_back_after_its_end_is_a_new_alert():
    first = raise_alert(trouble())
    alerts.close_cleared(first)
    second = raise_alert(trouble())
    assert (second.pk != first.pk, second.count) == (True, 1)


def test_many_at_once_make_one_row_and_lose_no_count():
    """Each thread has a connection of its own, as processes have."""
    ready, defects = threading.Barrier(6), []

    def see():
        try:
            ready.wait(5)
            for _ in range(5):
                raise_alert(trouble())
        except Exception as error:  # noqa: BLE001 - shown by the test
            defects.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=see) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert defects == []
    assert [alert.count for alert in Alert.objects.all()] == [30]


def test_opening_and_closing_reach_the_gateway_and_repeats_do_not():
    before = policy_number()
    alert = raise_alert(trouble())
    opened = policy_number()
    raise_alert(trouble())
    assert (opened > before, policy_number()) == (True, opened)

    alerts.close_alert(alert.pk, actor=SYSTEM)

    assert policy_number() > opened


def test_news_of_an_alert_name_model_server_status_and_request(published):
    raise_alert(trouble())

    kinds = [kind for kind, _data in published]
    data = published[0][1]

    assert kinds == ["alert.changed", "llm_provider_error"]
    assert data["state"] == "open"
    assert data["code"] == "llm_provider_error"
    assert (data["provider"], data["model"]) == ("ollama", "gemma3:4b")
    assert data["endpoint"] == "http://127.0.0.1:9/v1"
    assert (data["http_status"], data["request_id"]) == (404, "req-1")


def test_a_person_closes_and_it_is_written_down_once(actor):
    alert = AlertFactory()

    for _ in range(2):
        closed = alerts.close_alert(alert.pk, actor=actor)

    assert (closed.state, closed.closed_by) == ("closed", actor.name)
    assert AuditEntry.objects.filter(verb="alert.close").count() == 1


def test_a_silenced_alert_goes_on_counting_but_is_not_loud(actor):
    alert = raise_alert(trouble())

    alerts.silence_alert(alert.pk, hours=1, reason="new disk", actor=actor)
    raise_alert(trouble())

    alert.refresh_from_db()
    assert (alert.count, alert.is_silenced, alert.shown_state) == (2, True, "silenced")
    assert list(Alert.objects.loud()) == []
    entry = AuditEntry.objects.get(verb="alert.silence")
    assert entry.reason == "new disk"


def test_a_closed_alert_cannot_be_silenced(actor):
    alert = AlertFactory(closed=True)
    with pytest.raises(alerts.AlertClosed):
        alerts.silence_alert(alert.pk, hours=1, reason="", actor=actor)


@pytest.mark.parametrize(
    "identifier", ["nothing", "01a1fd98-a88b-7000-8cfb-35abbc217864"]
)
def test_an_unknown_alert_is_not_found(identifier, actor):
    with pytest.raises(NotFound):
        alerts.close_alert(identifier, actor=actor)


def test_a_good_answer_closes_only_what_was_not_seen_again_since():
    alert = raise_alert(trouble())
    earlier = alert.last_seen_at - timedelta(seconds=1)

    assert not alerts.close_by_recovery(alert.key, answered_at=earlier)
    assert alerts.close_by_recovery(alert.key, answered_at=timezone.now())

    assert not Alert.objects.open().exists()


# The job of every 15 seconds


@pytest.fixture
def runtime(db):
    return RuntimeFactory(online=True)


def answer(alert, **fields):
    known = {
        "request_id": "good",
        "status": RequestStatus.COMPLETED,
        "llm_model": alert.model,
        "llm_endpoint": alert.endpoint,
    }
    return RequestRecord.objects.create(**(known | fields))


def is_open(alert):
    close_what_cleared()
    return Alert.objects.open().filter(pk=alert.pk).exists()


@pytest.mark.parametrize("silenced", [False, True])
def test_a_good_answer_since_closes_it(runtime, silenced):
    alert = AlertFactory(silenced=silenced)
    assert is_open(alert)
    answer(alert)
    assert not is_open(alert)
    alert.refresh_from_db()
    assert alert.closed_by == "system"


@pytest.mark.parametrize(
    "other",
    [
        {"status": RequestStatus.FAILED},
        {"llm_model": "another"},
        {"llm_endpoint": "http://127.0.0.1:8/v1"},
        {"created_at": timezone.now() - timedelta(days=1)},
    ],
)
def test_an_answer_that_proves_nothing_leaves_it_open(runtime, other):
    alert = AlertFactory()
    answer(alert, **other)
    assert is_open(alert)


def test_five_quiet_minutes_close_it_once_the_runtime_is_online(runtime):
    old = timezone.now() - timedelta(minutes=6)
    alert = AlertFactory(first_seen_at=old, last_seen_at=old)
    runtime.status = RuntimeStatus.OFFLINE
    runtime.save()
    assert is_open(alert)

    runtime.status = RuntimeStatus.ONLINE
    runtime.save()
    assert not is_open(alert)


def test_an_alert_of_a_runtime_that_was_removed_closes(runtime):
    alert = AlertFactory(runtime="gone")
    assert not is_open(alert)


def test_a_silence_that_ran_out_brings_it_back_to_the_pages(runtime, published):
    past = timezone.now() - timedelta(seconds=1)
    alert = AlertFactory(silenced=True, silenced_until=past)

    assert is_open(alert)
    assert is_open(alert)

    assert [kind for kind, _data in published] == ["alert.changed"]
