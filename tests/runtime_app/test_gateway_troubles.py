"""Servers that fail become alerts, at once and once, and a good answer ends them."""

from __future__ import annotations

import time

import pytest

from runtime_app.gateway.app import app
from runtime_app.gateway.troubles import QUIET_SECONDS
from runtime_app.models import Alert
from tests.fakes.waiting import wait_until

MODEL = "gemma3:4b"
CHAT = "/v1/chat/completions"
PLAIN = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def ollama(gateway, practice_ollama):
    gateway.add("ollama", practice_ollama.url, MODEL, active=MODEL)
    return practice_ollama


def ask(gateway, **fields):
    return gateway.http().post(CHAT, json=PLAIN | fields)


def alert_of(model=MODEL, count=1):
    rows = Alert.objects.filter(model=model, count=count)
    wait_until(rows.exists, seconds=5)
    return rows.get()


def no_alert_comes():
    """Long enough for a first write, which takes a few milliseconds."""
    time.sleep(0.3)
    return not Alert.objects.exists()


@pytest.mark.parametrize(
    ("fault", "stream", "status", "error_class"),
    [
        ("status:404", False, 404, "MODEL_NOT_FOUND"),
        ("status:404", True, 404, "MODEL_NOT_FOUND"),
        ("status:500", False, 500, "DEGRADED"),
        ("garbage", False, None, "DEGRADED"),
        ("cut_after_tokens:3", True, None, "DEGRADED"),
    ],
)
def test_a_server_that_fails_opens_an_alert(
    gateway, ollama, fault, stream, status, error_class
):
    ollama.state.answer_tokens = 20
    ollama.state.faults.plan(CHAT, fault)

    answer = ask(gateway, stream=stream)

    alert = alert_of()
    assert (alert.code, alert.state) == ("llm_provider_error", "open")
    assert (alert.provider, alert.runtime) == ("ollama", "ollama")
    assert alert.endpoint == f"{ollama.url}/v1"
    assert (alert.http_status, alert.error_class) == (status, error_class)
    assert alert.request_id == answer.headers["X-Venom-Request-Id"]
    assert ollama.url in alert.message


def test_a_server_that_refuses_connections_opens_an_alert(gateway):
    gateway.add("ollama", "http://127.0.0.1:9", MODEL, active=MODEL)
    ask(gateway)
    alert = alert_of()
    assert (alert.error_class, alert.http_status) == ("OFFLINE", None)


def test_a_server_that_stays_silent_opens_an_alert(
    start_gateway, deadlines, practice_ollama
):
    deadlines(VENOM_FIRST_BYTE_SECONDS_LOCAL=0.3)
    gateway = start_gateway()
    gateway.add("ollama", practice_ollama.url, MODEL, active=MODEL)
    practice_ollama.state.faults.plan(CHAT, "stall_before_first_byte")
    ask(gateway)
    assert alert_of().error_class == "TIMEOUT"


@pytest.mark.parametrize("fault", ["status:429", "status:503", "status:400"])
def test_a_full_queue_and_the_clients_own_mistake_open_none(gateway, ollama, fault):
    ollama.state.faults.plan(CHAT, fault)
    assert ask(gateway).status_code in {429, 400}
    assert no_alert_comes()


def test_a_name_that_a_client_invented_opens_none(gateway, practice_openai):
    """A server without a list is asked for any name that a client forces on it."""
    gateway.add("practice", practice_openai.url)
    assert ask(gateway, model="practice/invented").status_code == 404
    assert no_alert_comes()


def test_repeats_are_written_once_a_second_and_all_counted(gateway, ollama, published):
    ollama.state.faults.plan(CHAT, "status:500", times=12)
    client = gateway.http()
    began = time.monotonic()
    for _ in range(12):
        client.post(CHAT, json=PLAIN)
    asked_for = time.monotonic() - began

    alert_of(count=12)

    writes = [kind for kind, _data in published if kind == "alert.changed"]
    assert len(writes) <= 2 + asked_for


def test_a_good_answer_closes_the_alert_after_a_quiet_moment(gateway, ollama):
    ollama.state.faults.plan(CHAT, "status:500")
    ask(gateway)
    alert = alert_of()
    wait_until(lambda: alert.key in snapshot().open_alerts, seconds=5)

    ask(gateway)

    wait_until(lambda: not Alert.objects.open().exists(), seconds=10)
    wait_until(lambda: not snapshot().open_alerts, seconds=5)
    assert Alert.objects.get().closed_by == "system"


def test_a_failure_after_the_good_answer_keeps_it_open(gateway, ollama):
    ollama.state.faults.plan(CHAT, "status:500")
    ask(gateway)
    alert = alert_of()
    wait_until(lambda: alert.key in snapshot().open_alerts, seconds=5)

    ask(gateway)
    ollama.state.faults.plan(CHAT, "status:500")
    ask(gateway)

    alert_of(count=2)
    time.sleep(QUIET_SECONDS + 0.5)
    assert Alert.objects.open().count() == 1


def test_what_waits_is_written_when_the_process_stops(gateway, ollama):
    ollama.state.faults.plan(CHAT, "status:500", times=3)
    for _ in range(3):
        ask(gateway)
    gateway.server.stop()
    assert Alert.objects.get().count == 3


def snapshot():
    return app.snapshot
