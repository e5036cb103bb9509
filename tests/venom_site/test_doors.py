"""What stands around Django: the sign of life and the limit of unmeasured bodies."""

from __future__ import annotations

import json

import pytest
from asgiref.testing import ApplicationCommunicator

from venom_site.asgi import application
from venom_site.lib import alive, body_limit

CHUNK = b"x" * 500_000


def scope(method="POST", path="/api/v1/models/activate"):
    return {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(b"host", b"localhost"), (b"transfer-encoding", b"chunked")],
        "query_string": b"",
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 8000),
        "scheme": "http",
        "http_version": "1.1",
    }


async def answer_of(app, asked, chunks=()):
    wire = ApplicationCommunicator(app, asked)
    for chunk in chunks:
        message = {"type": "http.request", "body": chunk, "more_body": True}
        await wire.send_input(message)
    await wire.send_input({"type": "http.request", "body": b"", "more_body": False})
    start = await wire.receive_output(5)
    body = await wire.receive_output(5)
    await wire.wait()
    return start["status"], dict(start["headers"]), body["body"]


async def test_healthz_answers_without_a_database():
    status, headers, body = await answer_of(application, scope("GET", "/healthz"))

    assert (status, json.loads(body)) == (200, {"status": "ok"})
    assert b"content-security-policy" in headers
    assert (await answer_of(alive.app, scope("HEAD")))[::2] == (200, b"")
    assert (await answer_of(alive.app, scope("POST")))[0] == 405


async def test_a_chunked_body_that_is_too_long_is_413_before_it_is_all_read():
    seen = []

    async def reader(scope, receive, send):
        while (message := await receive())["type"] == "http.request":
            seen.append(len(message["body"]))

    limited = body_limit.with_limit(reader)
    status, headers, body = await answer_of(limited, scope(), [CHUNK] * 20)

    assert status == 413
    assert json.loads(body)["code"] == "payload_too_large"
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"x-request-id"].decode() == json.loads(body)["request_id"]
    assert sum(seen) <= 2 * 1024 * 1024


@pytest.mark.django_db(transaction=True)
async def test_django_behind_it_refuses_the_same_and_takes_what_fits():
    too_long = await answer_of(application, scope(), [CHUNK] * 5)
    fitting = await answer_of(application, scope(), [b'{"a": 1}'])

    assert too_long[0] == 413
    assert fitting[0] == 401
