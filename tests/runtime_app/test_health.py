"""The health check: the rule against flapping, and what is kept of a look."""

from __future__ import annotations

import json
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
from runtime_app.runtimes.registry import adapter_for
from tests.factories import InstalledModelFactory, NodeFactory, RuntimeFactory
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


@pytest.mark.parametrize("status", ["online", "degraded"])
def test_a_process_that_is_gone_needs_no_second_look(status):
    assert next_status(status, 0, GONE, is_gone=True) == ("offline", 1)
    assert next_status(status, 0, GOOD, is_gone=True) == ("online", 0)


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


# What is in memory


def load(row, name: str, **how) -> None:
    adapter_for(row).load(name, seconds=5, check=lambda: None, **how)


def test_what_is_in_memory_is_kept_apart_and_told_when_it_changes(
    ollama_row, practice_ollama, published
):
    health.check_node()
    bumped = policy_number()
    published.clear()
    load(ollama_row, "gemma3:4b")

    health.check_node()
    health.check_node()

    ollama_row.refresh_from_db()
    [held] = ollama_row.loaded_models
    assert set(held) == {
        "name", "size_bytes", "size_vram_bytes", "context_length", "expires_at",
    }  # fmt: skip
    assert [set(m) & {"loaded", "expires_at"} for m in ollama_row.served_models] == [
        set(),
        set(),
    ]
    assert [data["loaded"] for _, data in published] == [["gemma3:4b"]], "told once"
    assert policy_number() == bumped, "routing does not depend on it"


def test_a_new_time_of_leaving_is_told(ollama_row, practice_ollama, published):
    load(ollama_row, "gemma3:4b")
    health.check_node()
    published.clear()
    practice_ollama.state.memory["gemma3:4b"].expires_at += timedelta(seconds=3)

    health.check_node()

    assert len(published) == 1


@pytest.mark.slow
def test_of_a_server_that_went_away_nothing_is_in_memory(ollama_row, practice_ollama):
    load(ollama_row, "gemma3:4b")
    health.check_node()
    practice_ollama.stop()

    health.check_node()

    ollama_row.refresh_from_db()
    assert (ollama_row.status, ollama_row.loaded_models) == ("offline", [])


@pytest.mark.parametrize("fault", ["garbage", "status:500", "cut_mid_line"])
def test_a_bad_answer_about_memory_is_a_failed_look(ollama_row, practice_ollama, fault):
    practice_ollama.state.faults.plan("/api/ps", fault)

    health.check_node()

    ollama_row.refresh_from_db()
    assert ollama_row.status == "degraded"


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("2318-03-01T00:00:00Z", {"expires_at": None}),
        ("2026-08-01T10:05:00.123456789+02:00", {"expires_at": "2026-08-01T08:05:00"}),
        ("nonsense", {}),
        ("2026-99-99T00:00:00Z", {}),
        ("", {}),
    ],
)
def test_the_moment_of_leaving_is_kept_as_far_as_it_is_one(told, kept):
    from runtime_app.runtimes.ollama import _in_memory
    from venom_site.clients.ollama_answers import LoadedModel

    entry = _in_memory(
        LoadedModel(
            name="a",
            size_bytes=None,
            size_vram_bytes=None,
            expires_at=told,
            context_length=None,
        )
    )

    assert {k: v and v[:19] for k, v in entry.items() if k == "expires_at"} == kept


def test_a_thousand_models_are_not_written_again_and_make_a_small_event(
    ollama_row, practice_ollama, published, django_assert_max_num_queries
):
    for number in range(1000):
        practice_ollama.state.add_model(f"{'m' * 50}{number:04}:latest")
    health.check_node()
    assert len(Runtime.objects.get(pk=ollama_row.pk).served_models) == 1002
    load(ollama_row, "gemma3:4b")
    published.clear()

    with django_assert_max_num_queries(8) as queries:
        health.check_node()

    writes = [q["sql"] for q in queries.captured_queries if "UPDATE" in q["sql"]]
    assert not any('"served_models"' in sql.partition("WHERE")[0] for sql in writes)
    [(_, data)] = published
    assert (len(data["models"]), data["models_count"]) == (100, 1002)
    assert len(json.dumps(data)) < 16_000


def test_the_registry_is_asked_to_look_only_when_the_list_is_another(
    ollama_row, server_row, practice_ollama, monkeypatch
):
    sent = []
    monkeypatch.setattr(
        health, "send_job", lambda task, **how: sent.append((task, how["queue"]))
    )
    health.check_node()
    health.check_node()
    load(ollama_row, "gemma3:4b")
    health.check_node()
    assert sent == [("models_app.discover_models", "node.test-node")]

    practice_ollama.state.remove_model("phi3:mini")
    health.check_node()

    assert len(sent) == 2


# Pins


def test_a_pin_is_renewed_after_a_request_has_set_a_time(ollama_row, practice_ollama):
    InstalledModelFactory(name="gemma3:4b", pinned=True)
    InstalledModelFactory(name="phi3:mini")
    load(ollama_row, "gemma3:4b")
    load(ollama_row, "phi3:mini")

    health.check_node()

    leaving = {
        name: entry.expires_at.year
        for name, entry in practice_ollama.state.memory.items()
    }
    assert leaving["gemma3:4b"] > 2200 > leaving["phi3:mini"]
    asked = practice_ollama.state.requests["/api/chat"]
    health.check_node()
    assert practice_ollama.state.requests["/api/chat"] == asked


def test_a_pinned_model_that_was_unloaded_is_not_loaded_again(
    ollama_row, practice_ollama
):
    InstalledModelFactory(name="gemma3:4b", pinned=True)

    health.check_node()

    assert practice_ollama.state.loaded() == []


def test_a_pin_that_cannot_be_renewed_is_no_failed_check(ollama_row, practice_ollama):
    InstalledModelFactory(name="gemma3:4b", pinned=True)
    load(ollama_row, "gemma3:4b")
    practice_ollama.state.faults.plan("/api/chat", "status:500")

    health.check_node()

    ollama_row.refresh_from_db()
    assert ollama_row.status == "online"


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
