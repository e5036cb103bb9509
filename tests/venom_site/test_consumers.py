"""The two sockets, over a real server: who may listen, what arrives, how often."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time

import pytest
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.test import Client
from websockets.exceptions import ConnectionClosed, InvalidStatus

from models_app.choices import OperationStatus
from models_app.services import claims, operation_rows
from runtime_app.governance import keys
from runtime_app.governance.callers import Caller
from tests.factories import OperationFactory, RuntimeFactory
from venom_site import consumers, fragments
from venom_site.lib.access import SYSTEM, Scope
from venom_site.lib.events import POLICY_CHANGED, Event, publish, publish_now

pytestmark = pytest.mark.django_db(transaction=True)


def heard(socket, text, seconds=5.0):
    """The first message that holds the text."""
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        message = socket.recv(timeout=left)
        if text in message:
            return message
    raise AssertionError(f"{text!r} was not heard within {seconds} s")


def close_code(socket):
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=5)
    return closed.value.rcvd.code


@pytest.mark.parametrize(("group", "sees_buttons"), [("Operator", 1), ("Viewer", 0)])
def test_a_row_moves_and_only_who_may_operate_sees_buttons(
    open_socket, signed_in, group, sees_buttons
):
    operation = OperationFactory()

    with open_socket("/ws/ui/?topics=ops", cookie=signed_in(group)) as page:
        claims.claim(operation.pk)
        message = heard(page, f'id="operation-{operation.pk}"')

    assert 'data-status="in_progress"' in message
    assert 'hx-swap-oob="true"' in message
    assert ("<form" in message) == bool(sees_buttons)
    assert "csrfmiddlewaretoken" not in message


def test_the_count_in_the_rail_moves_on_every_page(open_socket, signed_in):
    operation = OperationFactory()

    with open_socket("/ws/ui/?topics=", cookie=signed_in()) as page:
        claims.claim(operation.pk)
        message = heard(page, 'id="nav-operations"')

    assert ">1<" in message
    assert f"operation-{operation.pk}" not in message


def test_a_page_of_one_operation_hears_of_that_one_and_its_log(open_socket, signed_in):
    shown, other = OperationFactory(running=True), OperationFactory(running=True)

    with open_socket(
        f"/ws/ui/?topics=operation-{shown.pk}", cookie=signed_in()
    ) as page:
        operation_rows.write_log(shown.pk, "Step 1 of 5.")
        operation_rows.announce(other)
        operation_rows.announce(shown)
        message = heard(page, f'id="operation-log-{shown.pk}"')

    assert "Step 1 of 5." in message
    assert str(other.pk) not in message


def test_a_runtime_and_the_chip_move(open_socket, signed_in):
    runtime = RuntimeFactory(online=True)
    changed = Event(type="runtime.changed", data={"name": runtime.name})

    with open_socket("/ws/ui/?topics=runtimes", cookie=signed_in()) as page:
        publish(changed)
        message = heard(page, 'id="runtime-ollama"')

    assert 'id="chip"' in message
    assert "gemma3:4b" in message


def test_a_request_that_ended_is_announced_to_lists(open_socket, signed_in):
    ended = {"id": "7", "request_id": "req-1", "status": "COMPLETED"}

    with open_socket("/ws/ui/?topics=requests", cookie=signed_in()) as page:
        publish(Event(type="request.finished", data=ended))
        message = heard(page, 'id="request-7-ended"')

    assert 'data-status="COMPLETED"' in message


@pytest.mark.slow
def test_a_burst_is_two_updates_a_second_and_the_end_is_never_lost(
    open_socket, signed_in
):
    operation = OperationFactory()

    with open_socket("/ws/ui/?topics=ops", cookie=signed_in()) as page:
        work = claims.claim(operation.pk)
        for progress in range(20):
            work.checkpoint(step=progress, line=f"Step {progress}")
        operation_rows.finish(operation.pk, work.token, OperationStatus.COMPLETED)
        began, messages = time.monotonic(), []
        while "completed" not in "".join(messages):
            messages.append(heard(page, f'id="operation-{operation.pk}"'))

    assert time.monotonic() - began < 1.5
    assert len(messages) <= 3


@pytest.mark.parametrize("path", ["/ws/ui/", "/ws/events/"])
def test_signed_out_is_4401(open_socket, path):
    with open_socket(path, cookie="venom_session=nonsense") as socket:
        assert close_code(socket) == 4401


@pytest.mark.parametrize("path", ["/ws/ui/", "/ws/events/"])
def test_without_the_scope_it_is_4403(open_socket, django_user_model, path):
    client = Client()
    client.force_login(django_user_model.objects.create_user("nobody"))

    cookie = f"venom_session={client.cookies['venom_session'].value}"
    with open_socket(path, cookie=cookie) as socket:
        assert close_code(socket) == 4403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1:1", "null", "http://[::1"]
)
def test_another_servers_page_is_refused(open_socket, signed_in, origin):
    with (
        pytest.raises(InvalidStatus) as refused,
        open_socket("/ws/ui/", cookie=signed_in(), origin=origin),
    ):
        pass
    assert refused.value.response.status_code == 403


def test_an_unknown_path_is_refused(open_socket, signed_in):
    with pytest.raises(InvalidStatus), open_socket("/ws/x/", cookie=signed_in()):
        pass


def test_programs_hear_events_as_json(open_socket):
    _, key = keys.create_key("bot", [Scope.READ], actor=SYSTEM)
    operation = OperationFactory()

    with open_socket("/ws/events/", key=key) as socket:
        claims.claim(operation.pk)
        event = json.loads(heard(socket, str(operation.pk)))

    assert set(event) == {"v", "id", "type", "at", "data"}
    assert event["type"] == "operation.changed"
    assert event["data"]["status"] == "in_progress"
    assert event["at"].endswith("Z")


def test_programs_are_not_told_what_our_processes_tell_each_other(open_socket):
    _, key = keys.create_key("bot", [Scope.READ], actor=SYSTEM)
    operation = OperationFactory()

    with open_socket("/ws/events/", key=key) as socket:
        publish_now(Event(type=POLICY_CHANGED))
        claims.claim(operation.pk)
        event = json.loads(socket.recv(timeout=10))

    assert event["type"] == "operation.changed"


@pytest.mark.parametrize("scope", [None, Scope.INFERENCE])
def test_a_bad_key_is_refused_even_beside_a_good_session(open_socket, signed_in, scope):
    key = f"venom_{'x' * 43}"
    if scope:
        _, key = keys.create_key("asker", [scope], actor=SYSTEM)

    with open_socket("/ws/events/", key=key, cookie=signed_in()) as socket:
        assert close_code(socket) == (4403 if scope else 4401)


@pytest.fixture
def short_times(monkeypatch):
    """The minute after which rights are looked at again passes at once."""
    monkeypatch.setattr(consumers, "LOOK_UP_SECONDS", 0.05)
    monkeypatch.setattr(consumers, "ACCESS_SECONDS", 0.05)


def test_a_socket_ends_with_its_key(short_times, open_socket):
    _, key = keys.create_key("bot", [Scope.READ], actor=SYSTEM)

    with open_socket("/ws/events/", key=key) as socket:
        keys.revoke_key("bot", actor=SYSTEM)
        assert close_code(socket) == 4401


def test_a_socket_ends_with_its_session(short_times, open_socket, signed_in):
    with open_socket("/ws/ui/", cookie=signed_in()) as page:
        Session.objects.all().delete()
        assert close_code(page) == 4401


def test_a_socket_ends_with_the_right_to_read(short_times, open_socket, signed_in):
    with open_socket("/ws/ui/", cookie=signed_in("Viewer")) as page:
        Group.objects.get(name="Viewer").user_set.clear()
        assert close_code(page) == 4403


def test_a_server_that_stops_says_1012(web, open_socket, signed_in):
    with open_socket("/ws/ui/", cookie=signed_in()) as page:
        web.ask_to_stop()
        assert close_code(page) == 1012


@pytest.mark.process
@pytest.mark.slow
def test_an_event_of_another_process_arrives_in_half_a_second(open_socket, signed_in):
    code = (
        "import django, time; django.setup();"
        "from venom_site.lib.events import Event, publish_now;"
        "publish_now(Event(type='usage.sampled', data={'sent': time.time()}))"
    )
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "venom_site.settings"}

    with open_socket("/ws/events/", cookie=signed_in()) as socket:
        subprocess.run([sys.executable, "-c", code], env=env, check=True)
        event = json.loads(heard(socket, "usage.sampled"))

    assert time.time() - event["data"]["sent"] < 0.5 + 5  # the child's own end counts


def test_a_fragment_is_drawn_once_for_all_who_may_see_the_same():
    drawn = []

    def draw(event, can):
        drawn.append(can.operate)
        return "<p>"

    change = fragments.Change(key="k", topics=frozenset(), draw=draw)
    caller = Caller(principal=SYSTEM, language="en")
    polish = Caller(principal=SYSTEM, language="pl")

    async def ask():
        shared, event = fragments.Shared(), {"id": "1"}
        asked = [shared.html(change, event, who) for who in [caller] * 9 + [polish]]
        return await asyncio.gather(*asked)

    assert asyncio.run(ask()) == ["<p>"] * 10
    assert len(drawn) == 2
