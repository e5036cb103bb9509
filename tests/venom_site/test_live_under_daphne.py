"""Sockets, streams and held answers under daphne, a process beside the worker."""

from __future__ import annotations

import json
import time

import httpx
import pytest
from django.db import connection
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from models_app.choices import OperationStatus
from models_app.models import Operation
from models_app.services import claims, operation_rows
from runtime_app.governance import keys
from tests.factories import OperationFactory
from tests.fakes.waiting import wait_until
from tests.serving import DaphneProcess
from tests.threads import in_thread
from venom_site.lib.access import SYSTEM, Scope

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.process,
    pytest.mark.slow,
]


def test_what_is_live_is_live_under_daphne_too():
    _, key = keys.create_key("bot", [Scope.OPERATE], actor=SYSTEM)
    header = {"Authorization": f"Bearer {key}"}
    connection.close()  # the other process may have to wait for it otherwise
    with DaphneProcess() as daphne:
        client = httpx.Client(base_url=daphne.url, headers=header, trust_env=False)
        with client:
            events_arrive_soon(daphne.url, header)
            a_stream_tells_the_end(client)
            an_answer_is_held(client)
        socket = connect(
            daphne.url.replace("http", "ws") + "/ws/events/",
            additional_headers=header,
            proxy=None,
        )
    with pytest.raises(ConnectionClosed), socket:
        socket.recv(timeout=5)


def events_arrive_soon(url, header):
    operation = OperationFactory()
    address = url.replace("http", "ws") + "/ws/events/"
    with connect(address, additional_headers=header, proxy=None) as socket:
        claims.claim(operation.pk)
        claimed = time.monotonic()
        event = json.loads(socket.recv(timeout=5))
    assert event["data"]["operation_id"] == str(operation.pk)
    assert time.monotonic() - claimed < 0.5


def a_stream_tells_the_end(client):
    operation = OperationFactory(running=True)
    path = f"/api/v1/models/operations/{operation.pk}/stream"
    with client.stream("GET", path) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "id: 0"
        operation_rows.finish(
            operation.pk, operation.claim_token, OperationStatus.COMPLETED
        )
        assert "event: operation_finished" in list(lines)


def an_answer_is_held(client):
    known = set(Operation.objects.values_list("pk", flat=True))

    def end():
        fresh = Operation.objects.exclude(pk__in=known)
        wait_until(fresh.exists)
        claims.carry_out(fresh.get().pk, lambda work: None)

    worker = in_thread(end)
    body = {"seconds": 1, "wait_seconds": 8}
    answer = client.post("/api/v1/models/operations/probe", json=body)
    worker.join()
    assert answer.json()["operation"]["status"] == "completed"
