"""`/readyz`: open, quick, and honest about a database that hangs."""

from __future__ import annotations

import socket
import time

import pytest
from django.test import Client

from venom_site import readiness

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_known():
    readiness._all_applied.cache_clear()
    yield
    readiness._all_applied.cache_clear()


def test_ready_says_so_to_anybody(client):
    answer = client.get("/readyz")

    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "ready"
    assert body["checks"]["database"] == {"ok": True}
    assert body["checks"]["migrations"] == {"ok": True}
    assert "no-store" in answer["Cache-Control"]


def test_missing_tables_are_503_and_noticed_again_once_there(client, monkeypatch):
    monkeypatch.setattr(readiness, "unapplied", lambda: ["runtime_app.0002_x"])
    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["status"] == "not_ready"
    assert "1 changes" in answer.json()["checks"]["migrations"]["detail"]
    monkeypatch.setattr(readiness, "unapplied", list)
    assert client.get("/readyz").status_code == 200


@pytest.mark.slow
def test_a_database_that_accepts_and_never_answers_is_503_within_two_seconds(
    client, settings
):
    silent = socket.create_server(("127.0.0.1", 0))
    settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
    began = time.monotonic()

    answer = client.get("/readyz")

    assert time.monotonic() - began < 2
    assert answer.status_code == 503
    assert answer.json()["checks"]["redis"]["ok"] is False
    silent.close()


@pytest.mark.slow
def test_a_look_that_hangs_is_503_within_two_seconds_and_starts_no_second_thread(
    client, monkeypatch
):
    began_looks = []

    def hang():
        began_looks.append(1)
        time.sleep(3.4)
        return {}

    monkeypatch.setattr(readiness, "_checks", hang)
    for _ in range(2):
        began = time.monotonic()
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert time.monotonic() - began < 2
    assert began_looks == [1]
    with readiness._looking:  # the next test starts with a free look
        pass


def test_it_asks_nobody_who_they_are(django_user_model, django_assert_num_queries):
    client = Client()
    client.force_login(django_user_model.objects.create_user("anna"))

    with django_assert_num_queries(0):  # its own look runs in a thread of its own
        assert client.get("/readyz").status_code == 200
