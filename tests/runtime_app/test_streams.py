"""Streams of operations and held answers, over a real server."""

from __future__ import annotations

import time

import httpx
import pytest

from models_app.choices import OperationStatus
from models_app.models import Operation
from models_app.services import claims, operation_rows, probe
from runtime_app.gateway import event_stream
from runtime_app.gateway.snapshot import SnapshotStore
from runtime_app.governance import keys
from runtime_app.services.waiting import finished_body
from tests import event_streams
from tests.factories import OperationFactory
from tests.fakes.waiting import wait_until
from tests.threads import in_thread
from venom_site.lib.access import SYSTEM, Scope
from venom_site.lib.listening import _ears

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/api/v1/models/operations"


@pytest.fixture
def client(web):
    """A program with a key that may operate."""
    _, key = keys.create_key("bot", [Scope.OPERATE], actor=SYSTEM)
    with httpx.Client(
        base_url=web.url,
        headers={"Authorization": f"Bearer {key}"},
        trust_env=False,
        timeout=10,
    ) as made:
        yield made


def events(response):
    """(id, event, data) of each event as it comes; ids are numbers of log rows."""
    return (
        (int(place), name, data) for place, name, data in event_streams.events(response)
    )


def listeners():
    """Streams and held answers; the gateway listens as long as it serves."""
    heard = [hear for ear in _ears.values() for hear in ear._listeners]
    owners = [getattr(hear, "__self__", None) for hear in heard]
    return sum(not isinstance(owner, SnapshotStore) for owner in owners)


@pytest.mark.slow
def test_a_stream_tells_a_probe_from_its_first_line_to_its_end(client):
    operation = probe.request_probe(2, actor=SYSTEM)

    with client.stream("GET", f"{LIST}/{operation.pk}/stream") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert "default-src 'none'" in stream.headers["content-security-policy"]
        worker = in_thread(claims.carry_out, operation.pk, probe.perform_probe)
        told = list(events(stream))
    worker.join()

    lines = [data["line"] for _, name, data in told if name == "log"]
    assert lines == ["Step 1 of 2.", "Step 2 of 2.", "Completed."]
    assert [name for _, name, _ in told][-1] == "operation_finished"
    assert told[-1][2]["status"] == "completed"
    updates = [data["progress"] for _, name, data in told if name == "operation_update"]
    assert updates == sorted(updates)
    ids = [number for number, _, _ in told]
    assert ids == sorted(ids)


def test_a_stream_resumes_behind_the_line_that_was_read(client):
    operation = OperationFactory(failed=True)
    rows = [operation_rows.write_log(operation.pk, f"Line {n}.") for n in range(5)]

    with client.stream(
        "GET",
        f"{LIST}/{operation.pk}/stream",
        headers={"Last-Event-ID": str(rows[2].pk)},
    ) as stream:
        lines = [data["line"] for _, name, data in events(stream) if name == "log"]

    assert lines == ["Line 3.", "Line 4."]


def test_an_event_wakes_the_stream_before_its_next_look(client):
    operation = OperationFactory(running=True)

    with client.stream("GET", f"{LIST}/{operation.pk}/stream") as stream:
        told = events(stream)
        next(told)
        began = time.monotonic()
        operation_rows.finish(
            operation.pk, operation.claim_token, OperationStatus.COMPLETED
        )
        assert next(told)[1] == "log"

    assert time.monotonic() - began < 0.5


def test_a_reader_that_leaves_ends_its_stream_at_once(client):
    operation = OperationFactory(running=True)
    with client.stream("GET", f"{LIST}/{operation.pk}/stream") as stream:
        told = events(stream)
        next(told)
        assert listeners() == 1

    wait_until(lambda: listeners() == 0, seconds=0.5)


def test_a_silent_stream_beats_with_the_id_it_has_reached(monkeypatch, client):
    monkeypatch.setattr(event_stream, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(event_stream, "HEARTBEAT_SECONDS", 0.1)
    operation = OperationFactory(running=True)
    row = operation_rows.write_log(operation.pk, "Step 1 of 5.")

    with client.stream("GET", f"{LIST}/{operation.pk}/stream") as stream:
        told = events(stream)
        beat = next(one for one in told if one[1] == "heartbeat")

    assert beat[0] == row.pk


def test_a_stream_ends_with_its_key(monkeypatch, client):
    monkeypatch.setattr(event_stream, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(event_stream, "ACCESS_SECONDS", 0.05)
    operation = OperationFactory(running=True)

    with client.stream("GET", f"{LIST}/{operation.pk}/stream") as stream:
        told = events(stream)
        next(told)
        keys.revoke_key("bot", actor=SYSTEM)
        assert "operation_finished" not in [name for _, name, _ in told]


@pytest.mark.parametrize("pk", ["x", "019a5b1e-0000-7000-8000-000000000000", "%00"])
def test_an_impossible_id_is_404(client, pk):
    answer = client.get(f"{LIST}/{pk}/stream")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_who_may_not_read_is_refused(web, client):
    pk = OperationFactory().pk
    path = f"{web.url}{LIST}/{pk}/stream"
    _, asker = keys.create_key("asker", [Scope.INFERENCE], actor=SYSTEM)

    def status(**headers):
        answer = httpx.get(path, headers=headers, trust_env=False)
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code

    assert status() == 401
    assert status(Authorization=f"Bearer venom_{'x' * 43}") == 401
    assert status(Authorization=f"Bearer {asker}") == 403
    assert client.post(path).status_code == 405


def test_a_session_may_read_a_stream(web, page_client):
    cookie = page_client("Viewer").cookies["venom_session"].value
    operation = OperationFactory(completed=True)

    answer = httpx.get(
        f"{web.url}{LIST}/{operation.pk}/stream",
        headers={"Cookie": f"venom_session={cookie}"},
        trust_env=False,
    )

    assert "event: operation_finished" in answer.text


def test_a_held_answer_comes_when_the_operation_ends(client):
    def end():
        wait_until(lambda: Operation.objects.exists())
        claims.carry_out(Operation.objects.get().pk, lambda work: None)

    worker = in_thread(end)
    answer = client.post(f"{LIST}/probe", json={"seconds": 1, "wait_seconds": 8})
    worker.join()

    assert answer.status_code == 202
    assert answer.json()["operation"]["status"] == "completed"
    assert answer.json()["operation_id"] == answer.json()["operation"]["operation_id"]
    assert "x-venom-wait" not in answer.headers
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.elapsed.total_seconds() < 4


def test_a_held_answer_comes_when_the_time_is_over(client):
    body = {"seconds": 1, "wait_seconds": 0.3}

    answer = client.post(f"{LIST}/probe", json=body)

    assert answer.json()["operation"]["status"] == "pending"
    assert answer.elapsed.total_seconds() < 2


def test_who_leaves_a_held_answer_leaves_the_operation_running(client):
    with pytest.raises(httpx.ReadTimeout):
        client.post(
            f"{LIST}/probe", json={"seconds": 9, "wait_seconds": 60}, timeout=0.7
        )

    wait_until(lambda: listeners() == 0)
    operation = Operation.objects.get()
    assert operation.status == OperationStatus.PENDING
    assert not operation.cancel_requested


def test_the_same_wish_with_the_same_key_is_held_again(client):
    wish = {"json": {"seconds": 1, "wait_seconds": 0.2}}
    key = {"Idempotency-Key": "k"}
    first = client.post(f"{LIST}/probe", headers=key, **wish)
    claims.carry_out(Operation.objects.get().pk, lambda work: None)

    again = client.post(f"{LIST}/probe", headers=key, **wish)

    assert first.json()["operation"]["status"] == "pending"
    assert again.json()["operation"]["status"] == "completed"
    assert again.headers["idempotent-replay"] == "true"
    assert Operation.objects.count() == 1


def test_the_finished_body_keeps_the_first_one():
    operation = OperationFactory(completed=True)

    body = finished_body({"success": True}, operation)

    assert body["success"] is True
    assert body["operation"]["status"] == "completed"
