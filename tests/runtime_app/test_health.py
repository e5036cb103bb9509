"""The health check: the rule against flapping, and what is kept of a look."""

from __future__ import annotations

import socket
import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from models_app.models import Node
from runtime_app.governance.policy import policy_number
from runtime_app.models import Runtime
from runtime_app.monitoring import health
from runtime_app.monitoring.health import next_status
from runtime_app.runtimes.base import Observation
from tests.factories import NodeFactory, RuntimeFactory
from tests.fakes.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
pytest_plugins = ("tests.fakes.fixtures",)

GOOD = Observation(status="online")
OLD = Observation(status="degraded")
GONE = Observation(status="offline", is_failure=True)
BAD = Observation(status="degraded", is_failure=True)
LOADING = Observation(status="starting", is_failure=True)


@pytest.mark.parametrize(
    ("status", "failed", "seen", "expected"),
    [
        ("unknown", 0, GOOD, ("online", 0)),
        ("unknown", 0, GONE, ("offline", 1)),
        ("unknown", 0, LOADING, ("starting", 1)),
        ("online", 0, GONE, ("online", 1)),
        ("online", 1, GONE, ("offline", 2)),
        ("online", 1, BAD, ("degraded", 2)),
        ("online", 1, LOADING, ("starting", 2)),
        ("online", 1, GOOD, ("online", 0)),
        ("online", 0, OLD, ("degraded", 0)),
        ("degraded", 0, GONE, ("degraded", 1)),
        ("degraded", 2, GONE, ("offline", 3)),
        ("degraded", 0, GOOD, ("online", 0)),
        ("offline", 7, GONE, ("offline", 8)),
        ("offline", 7, LOADING, ("starting", 8)),
        ("offline", 7, GOOD, ("online", 0)),
        ("starting", 3, GONE, ("offline", 4)),
    ],
)
def test_the_rule_against_flapping(status, failed, seen, expected):
    assert next_status(status, failed, seen) == expected


def test_a_check_reads_status_version_models_and_latency(ollama_row, published):
    before = policy_number()

    health.check_node()

    ollama_row.refresh_from_db()
    assert ollama_row.status == "online"
    assert ollama_row.version == "0.33.0"
    assert [m["name"] for m in ollama_row.served_models] == ["gemma3:4b", "phi3:mini"]
    assert ollama_row.served_models[0]["quantization"]
    assert 0 < ollama_row.latency_ms < 2000
    assert ollama_row.last_check_at is not None
    assert policy_number() == before + 1
    assert [kind for kind, _ in published] == ["runtime.changed"]
    assert published[0][1]["models"] == ["gemma3:4b", "phi3:mini"]


def test_a_quiet_check_tells_nobody_but_notes_the_time(ollama_row, published):
    health.check_node()
    first = Runtime.objects.get(pk=ollama_row.pk)
    bumped = policy_number()
    published.clear()

    health.check_node()

    ollama_row.refresh_from_db()
    assert ollama_row.last_check_at > first.last_check_at
    assert published == []
    assert policy_number() == bumped


@pytest.mark.slow
def test_a_server_that_goes_away_is_offline_after_two_looks_and_comes_back(
    ollama_row, practice_ollama, published
):
    health.check_node()
    practice_ollama.stop()

    health.check_node()

    ollama_row.refresh_from_db()
    assert (ollama_row.status, ollama_row.failed_checks) == ("offline", 2)
    assert ollama_row.error_message.startswith("Nothing answers at 127.0.0.1:")
    assert ollama_row.latency_ms is None
    assert len(ollama_row.served_models) == 2, "the last list it gave is kept"
    assert published[-1][1]["status"] == "offline"

    practice_ollama.start()
    health.check_node()
    ollama_row.refresh_from_db()
    assert (ollama_row.status, ollama_row.failed_checks) == ("online", 0)
    assert ollama_row.error_message == ""


@pytest.mark.slow
def test_one_failed_look_leaves_a_server_online(ollama_row, practice_ollama):
    health.check_node()
    practice_ollama.state.faults.plan("/api/version", "status:500")

    health.check_node()

    ollama_row.refresh_from_db()
    assert (ollama_row.status, ollama_row.flap_count) == ("online", 1)


def test_an_ollama_that_is_too_old_is_degraded_with_the_reason(
    ollama_row, practice_ollama
):
    practice_ollama.state.version = "0.12.0"

    health.check_node()

    ollama_row.refresh_from_db()
    assert ollama_row.status == "degraded"
    assert "0.16" in ollama_row.error_message


def test_a_model_added_by_another_program_is_news_for_the_gateway(
    ollama_row, practice_ollama, published
):
    health.check_node()
    before = policy_number()
    practice_ollama.state.add_model("qwen3:0.6b")

    health.check_node()

    ollama_row.refresh_from_db()
    assert ollama_row.serves("qwen3:0.6b")
    assert policy_number() == before + 1


def test_more_than_three_changes_in_five_minutes_are_called_unstable():
    now = timezone.now()
    seconds_ago = (10, 70, 130, 190)
    row = RuntimeFactory(
        recent_changes=[
            (now - timedelta(seconds=n)).isoformat()
            for n in (400, *reversed(seconds_ago), -60)
        ]
    )
    assert (row.is_unstable, row.flap_count) == (True, 4)

    row.recent_changes = row.recent_changes[:4]
    assert (row.is_unstable, row.flap_count) == (False, 3)


def test_an_openai_compatible_server_shows_models_and_version(
    server_row, practice_openai
):
    health.check_node()
    health.check_node()

    server_row.refresh_from_db()
    assert server_row.status == "online"
    assert server_row.version == "0.32.0"
    assert server_row.serves("practice-7b")
    assert practice_openai.state.requests["/version"] == 1, "asked once a minute"


def test_a_refused_key_is_degraded_and_says_so(server_row, practice_openai):
    practice_openai.state.api_key = "right-key"

    health.check_node()

    server_row.refresh_from_db()
    assert server_row.status == "degraded"
    assert "401" in server_row.error_message


@pytest.mark.parametrize("fault", ["garbage", "status:500", "cut_mid_line"])
def test_a_bad_answer_is_degraded_and_never_raises(server_row, practice_openai, fault):
    practice_openai.state.faults.plan("/v1/models", fault)

    health.check_node()

    server_row.refresh_from_db()
    assert server_row.status == "degraded"
    assert server_row.error_message


def test_a_server_that_loads_its_model_is_starting(server_row):
    """llama-server answers 503 on every path meanwhile."""
    body = (
        b'{"error":{"message":"Loading model","type":"unavailable_error","code":503}}'
    )
    with _answers(503, body) as url:
        Runtime.objects.update(base_url=f"{url}/v1")
        health.check_node()

    server_row.refresh_from_db()
    assert server_row.status == "starting"


@pytest.mark.slow
def test_one_server_that_hangs_does_not_delay_the_others(
    ollama_row, server_row, practice_openai
):
    practice_openai.state.faults.plan("/v1/models", "stall_before_first_byte", 0)
    job = threading.Thread(target=health.check_node)
    job.start()

    wait_until(
        lambda: Runtime.objects.get(pk=ollama_row.pk).status == "online", seconds=1.5
    )

    job.join()
    server_row.refresh_from_db()
    assert server_row.status == "offline"


def test_a_check_of_an_address_that_has_changed_meanwhile_writes_nothing(ollama_row):
    looks = health.looks_at(ollama_row)
    Runtime.objects.update(base_url="http://127.0.0.1:9")

    health.keep(ollama_row, looks)

    ollama_row.refresh_from_db()
    assert ollama_row.status == "unknown"


def test_an_undecryptable_key_is_a_status_and_not_a_crash(server_row):
    Runtime.objects.update(encrypted_key="not a token")

    health.check_node()

    server_row.refresh_from_db()
    assert server_row.status == "degraded"
    assert "decrypted" in server_row.error_message


def test_the_job_goes_to_every_live_node_and_always_to_our_own(monkeypatch):
    NodeFactory(name="gpu-1", last_seen_at=timezone.now())
    NodeFactory(name="gpu-2", last_seen_at=timezone.now() - timedelta(minutes=5))
    Node.objects.filter(name="test-node").delete()
    sent = []
    monkeypatch.setattr(
        health, "send_job", lambda task, **how: sent.append((task, how["queue"]))
    )

    health.fan_out()

    assert sent == [
        ("runtime_app.check_health", "node.gpu-1"),
        ("runtime_app.check_health", "node.test-node"),
    ]


class _answers:
    """A socket that gives every request the same answer."""

    def __init__(self, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n"
        self._answer = f"{head}Connection: close\r\n\r\n".encode() + body
        self._socket = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> str:
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(self._answer)
