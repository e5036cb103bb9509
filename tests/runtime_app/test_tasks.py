"""Tasks over a running product: asked, streamed, resumed, cancelled, cut."""

from __future__ import annotations

import json
import time

import pytest

from history_app.models import RequestRecord
from history_app.recorder import recorder
from runtime_app.gateway.task_runner import runner
from runtime_app.models import ChatMessage, Task
from runtime_app.services import task_rows
from tests.event_streams import events
from tests.fakes.waiting import wait_until
from venom_site.lib.access import Scope

TASKS = "/api/v1/tasks"
CHAT = "/v1/chat/completions"
MODEL = "gemma3:4b"


@pytest.fixture
def client(gateway, practice_ollama):
    """A program that may ask, with gemma active on the practice Ollama."""
    gateway.add("ollama", practice_ollama.url, MODEL, "phi3:mini", active=MODEL)
    return gateway.http()


def ask(client, content="Tell me of rivers.", **fields):
    answer = client.post(TASKS, json={"content": content, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


def look(client, task):
    return client.get(f"{TASKS}/{task['task_id']}").json()


def ended(client, task):
    """The task once it has ended."""
    wait_until(lambda: look(client, task)["finished_at"], seconds=8)
    return look(client, task)


def stream(client, task, after=""):
    headers = {"Last-Event-ID": after} if after else {}
    path = f"{TASKS}/{task['task_id']}/stream"
    return client.stream("GET", path, headers=headers)


def test_a_question_is_answered_and_says_who_answered(client, gateway, practice_ollama):
    asked = ask(client, "Tell me of rivers.\nPlease.", session_id="boat-1")

    assert asked["llm_provider"] == "ollama"
    assert asked["llm_model"] == MODEL
    assert asked["llm_endpoint"] == f"{practice_ollama.url}/v1"
    assert asked["llm_status"] == "ready"
    done = ended(client, asked)
    assert done["status"] == "COMPLETED"
    assert done["result"]
    assert done["error"] is None
    assert done["session_id"] == "boat-1"
    assert [line["line"] for line in done["logs"]][-1] == "Completed."
    runtime = done["context_history"]["llm_runtime"]
    assert runtime["model"] == MODEL
    assert runtime["runtime_id"] == f"ollama@{practice_ollama.url}"
    assert runtime["last_success_at"]
    row = gateway.record(id=asked["task_id"])
    assert (row.path, row.session_id, row.status) == (TASKS, "boat-1", "COMPLETED")
    assert row.prompt_preview == "Tell me of rivers.\nPlease."


def test_the_stream_tells_the_whole_answer_as_it_grows(client, practice_ollama):
    practice_ollama.state.tokens_per_second = 20

    with stream(client, ask(client)) as opened:
        told = list(events(opened))

    updates = [data for _, name, data in told if name == "task_update"]
    assert len(updates) > 4
    assert "".join(data["delta"] for data in updates) == updates[-1]["result"]
    lines = [line["line"] for data in updates for line in data["logs"]]
    assert len(lines) == len(set(lines)) == 3
    last_id, last, finished = told[-1]
    assert last == "task_finished"
    assert finished["status"] == "COMPLETED"
    assert finished["result"] == updates[-1]["result"]
    assert last_id == f"3:{len(finished['result'])}"


def test_a_word_reaches_the_reader_within_half_a_second(client, practice_ollama):
    practice_ollama.state.faults.plan(CHAT, "stall_mid_stream:3")
    asked = ask(client)
    with stream(client, asked) as opened:
        began = time.monotonic()
        for _, name, data in events(opened):
            if name == "task_update" and data["delta"]:
                break
        took = time.monotonic() - began

    assert took < 0.5
    client.post(f"{TASKS}/{asked['task_id']}/cancel")


def test_a_dropped_reader_gets_the_rest_and_nothing_twice(client, practice_ollama):
    practice_ollama.state.tokens_per_second = 20
    asked = ask(client)
    parts, lines, place, ends = [], [], "", time.monotonic() + 8

    while time.monotonic() < ends:
        with stream(client, asked, after=place) as opened:
            place, name, data = next(events(opened))
        if name == "task_finished":
            break
        parts.append(data["delta"])
        lines += [line["line"] for line in data["logs"]]

    assert name == "task_finished"
    assert len(parts) > 3
    assert "".join(parts) == data["result"]
    assert len(lines) == len(set(lines)) == 3


def test_cancelling_stops_the_servers_work(client, practice_ollama, gateway):
    practice_ollama.state.faults.plan(CHAT, "stall_mid_stream:3")
    asked = ask(client)
    wait_until(lambda: look(client, asked)["result"], seconds=3)

    answer = client.post(f"{TASKS}/{asked['task_id']}/cancel")

    assert answer.status_code == 200
    wait_until(lambda: practice_ollama.state.cancelled == 1, seconds=1)
    done = ended(client, asked)
    assert done["status"] == "CANCELLED"
    assert done["result"]
    assert gateway.record(id=asked["task_id"]).status == "CANCELLED"
    again = client.post(f"{TASKS}/{asked['task_id']}/cancel")
    assert (again.status_code, again.json()["status"]) == (200, "CANCELLED")


def test_a_cancel_of_another_process_arrives_within_two_seconds(
    client, practice_ollama
):
    practice_ollama.state.faults.plan(CHAT, "stall_before_first_byte")
    asked = ask(client)
    wait_until(lambda: practice_ollama.state.in_flight == 1)

    Task.objects.filter(pk=asked["task_id"]).update(cancel_requested=True)

    wait_until(lambda: practice_ollama.state.cancelled == 1, seconds=2)
    assert ended(client, asked)["status"] == "CANCELLED"


def test_a_conversation_is_told_again_and_two_are_kept_apart(client, practice_ollama):
    def bodies():
        return practice_ollama.state.last_bodies[CHAT]["messages"]

    first = ended(client, ask(client, "My boat is red.", session_id="red"))
    ended(client, ask(client, "My boat is blue.", session_id="blue"))
    ended(client, ask(client, "Which colour?", session_id="red"))
    assert bodies() == [
        {"role": "user", "content": "My boat is red."},
        {"role": "assistant", "content": first["result"]},
        {"role": "user", "content": "Which colour?"},
    ]

    ended(client, ask(client, "And now?", session_id="red", mode="direct"))
    assert bodies() == [{"role": "user", "content": "And now?"}]


def test_model_parameters_and_images_reach_the_server(client, practice_ollama):
    image = "data:image/png;base64,iVBORw0KGgo="
    asked = ask(
        client,
        model="phi3:mini",
        generation_params={"temperature": 0.1, "max_tokens": 9},
        images=[image],
    )

    assert ended(client, asked)["llm_model"] == "phi3:mini"
    body = practice_ollama.state.last_bodies[CHAT]
    assert (body["temperature"], body["max_tokens"]) == (0.1, 9)
    assert body["messages"][-1]["content"][1]["image_url"]["url"] == image


def test_a_forced_server_answers_with_its_usual_model(client, gateway, practice_openai):
    served = practice_openai.state.served[0]
    gateway.add("practice", practice_openai.url, served)

    done = ended(client, ask(client, forced_provider="practice"))

    assert (done["llm_provider"], done["llm_model"]) == ("practice", served)
    assert done["context_history"]["llm_runtime"]["provider"] == "practice"


def test_a_question_that_no_model_can_answer_ends_failed_with_a_row(client, gateway):
    done = ended(client, ask(client, model="nope"))

    assert done["status"] == "FAILED"
    assert done["llm_status"] == "error"
    assert done["error"]["code"] == "model_not_found"
    assert done["error"]["class"] == "MODEL_NOT_FOUND"
    assert done["error"]["retryable"] is False
    assert gateway.record(id=done["task_id"]).error_code == "model_not_found"
    with stream(client, done) as opened:
        assert "llm_provider_error" not in [name for _, name, _ in events(opened)]


@pytest.mark.parametrize(
    ("fault", "code", "kind"),
    [
        ("status:500", "upstream_error", "DEGRADED"),
        ("status:404", "model_not_found", "MODEL_NOT_FOUND"),
        ("cut_after_tokens:3", "upstream_cut", "DEGRADED"),
    ],
)
def test_a_server_that_fails_is_named_on_the_stream(
    client, practice_ollama, fault, code, kind
):
    practice_ollama.state.faults.plan(CHAT, fault)
    asked = ask(client)

    with stream(client, asked) as opened:
        told = [(name, data) for _, name, data in events(opened)]

    trouble = dict(told)["llm_provider_error"]
    assert trouble["provider"] == "ollama"
    assert trouble["model"] == MODEL
    assert trouble["endpoint"] == f"{practice_ollama.url}/v1"
    assert trouble["request_id"] == asked["task_id"]
    assert "http_status" in trouble
    name, finished = told[-1]
    assert (name, finished["status"]) == ("task_finished", "FAILED")
    assert finished["error"]["code"] == code
    assert finished["error"]["class"] == kind
    assert finished["context_history"]["llm_runtime"]["last_error_at"]
    assert bool(finished["result"]) == fault.startswith("cut")


def test_what_shall_not_be_stored_is_in_no_history_and_goes_from_the_task(
    client, gateway, monkeypatch
):
    done = ended(client, ask(client, "My secret boat.", session_id="s", store=False))

    assert done["result"]
    assert gateway.record(id=done["task_id"]).prompt_preview == ""
    session = client.get("/api/v1/sessions/s").json()
    assert (session["title"], session["messages"]) == ("", [])
    assert task_rows.forget_texts() == 0
    monkeypatch.setattr(task_rows, "KEPT_AFTER_END", task_rows.SILENCE * 0)
    assert task_rows.forget_texts() == 1
    forgotten = look(client, done)
    assert (forgotten["content"], forgotten["result"]) == ("", "")


def test_a_stop_of_the_process_keeps_what_came(gateway, client, practice_ollama):
    practice_ollama.state.faults.plan(CHAT, "stall_mid_stream:3")
    asked = ask(client)
    wait_until(lambda: look(client, asked)["result"], seconds=3)

    gateway.server.stop()

    task = Task.objects.get(pk=asked["task_id"])
    assert (task.status, task.error_code) == ("FAILED", "gateway_stopping")
    assert task.error_retryable
    assert task.result
    recorder.flush()
    assert RequestRecord.objects.get(pk=task.pk).error_code == "gateway_stopping"
    assert runner.find(task.pk) is None


def test_a_conversation_removed_meanwhile_ends_the_work_and_the_stream(
    client, practice_ollama
):
    practice_ollama.state.faults.plan(CHAT, "stall_mid_stream:3")
    asked = ask(client, session_id="gone")
    with stream(client, asked) as opened:
        told = events(opened)
        next(told)
        assert client.delete("/api/v1/sessions/gone").status_code == 200
        names = [name for _, name, _ in told]

    assert names[-1] == "task_missing"
    wait_until(lambda: practice_ollama.state.cancelled == 1, seconds=2)
    assert client.get(f"{TASKS}/{asked['task_id']}").status_code == 404
    assert not ChatMessage.objects.exists()


def test_the_same_wish_with_the_same_key_is_one_task(client):
    key = {"Idempotency-Key": "k-1"}
    wish = {"json": {"content": "Hello"}, "headers": key}
    first, again = client.post(TASKS, **wish), client.post(TASKS, **wish)

    assert again.headers["idempotent-replay"] == "true"
    assert first.json()["task_id"] == again.json()["task_id"]
    assert Task.objects.count() == 1


def test_readers_see_that_there_was_a_question_but_not_what(client, gateway):
    done = ended(client, ask(client, session_id="mine"))
    reader = gateway.http(gateway.new_key("reader", Scope.READ))
    stranger = gateway.http(gateway.new_key("stranger", Scope.INFERENCE))

    seen = look(reader, done)
    assert (seen["content"], seen["result"]) == (None, None)
    assert seen["content_hidden"] is True
    assert "content_hidden" not in look(client, done)
    with stream(reader, done) as opened:
        text = "".join(json.dumps(data) for _, _, data in events(opened))
    assert done["result"] not in text
    assert client.get(f"{TASKS}/{done['task_id']}").status_code == 200
    assert stranger.get(f"{TASKS}/{done['task_id']}").status_code == 404
    assert stranger.get(f"{TASKS}/{done['task_id']}/stream").status_code == 404
    assert stranger.post(f"{TASKS}/{done['task_id']}/cancel").status_code == 404
    assert stranger.get("/api/v1/sessions/mine").status_code == 404
    assert stranger.delete("/api/v1/sessions/mine").status_code == 404
