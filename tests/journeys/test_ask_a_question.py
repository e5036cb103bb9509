"""Ask a question: under daphne, through a stop and through a kill."""

import json

import pytest

from history_app.services import lost
from runtime_app.governance import keys
from runtime_app.models import Task
from runtime_app.services import task_rows
from tests.fakes.waiting import wait_until
from tests.serving import DaphneProcess, Gateway, add_server
from venom_site.lib.access import SYSTEM, Scope

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.process,
    pytest.mark.slow,
]

CHAT = "/v1/chat/completions"
TASKS = "/api/v1/tasks"
SESSION = "/api/v1/sessions/boats"


@pytest.fixture
def key(practice_ollama):
    add_server("ollama", practice_ollama.url, "gemma3:4b", active="gemma3:4b")
    return keys.create_key("bot", [Scope.INFERENCE], actor=SYSTEM)[1]


def ask(client, content):
    body = {"content": content, "session_id": "boats"}
    answer = client.post(TASKS, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["task_id"]


def finished(client, pk):
    """The last event of its stream."""
    with client.stream("GET", f"{TASKS}/{pk}/stream") as stream:
        lines = [line for line in stream.iter_lines() if line]
    assert lines[-2] == "event: task_finished"
    return json.loads(lines[-1].removeprefix("data: "))


def half_an_answer(client, practice_ollama):
    practice_ollama.state.faults.plan(CHAT, "stall_mid_stream:3")
    pk = ask(client, "And of seas?")
    wait_until(lambda: Task.objects.get(pk=pk).result, seconds=5)
    return pk


def test_daphne_answers_questions_and_a_stop_keeps_what_came(practice_ollama, key):
    """The first request of the process is a question: nothing has started before."""
    with DaphneProcess() as daphne:
        gateway = Gateway(daphne, key)
        client = gateway.http()
        done = finished(client, ask(client, "Tell me of rivers."))
        assert (done["status"], done["llm_model"]) == ("COMPLETED", "gemma3:4b")
        pk = half_an_answer(client, practice_ollama)
        gateway.close()

    task = Task.objects.get(pk=pk)
    assert (task.status, task.error_code) == ("FAILED", "gateway_stopping")
    assert task.result


def test_a_killed_process_loses_its_task_but_no_conversation(practice_ollama, key):
    with DaphneProcess() as daphne:
        gateway = Gateway(daphne, key)
        client = gateway.http()
        done = finished(client, ask(client, "Tell me of rivers."))
        pk = half_an_answer(client, practice_ollama)
        gateway.close()
        daphne.kill()

    task = Task.objects.get(pk=pk)
    assert task.status == "PROCESSING"
    assert lost.mark_lost_requests() == 1
    assert task_rows.mark_lost_tasks() == 1
    with DaphneProcess() as daphne:
        gateway = Gateway(daphne, key)
        client = gateway.http()
        given_up = finished(client, pk)
        said = client.get(SESSION).json()["messages"]
        gateway.close()
    assert (given_up["status"], given_up["error"]["code"]) == ("LOST", "task_lost")
    assert given_up["result"]
    assert [message["content"] for message in said] == [
        "Tell me of rivers.",
        done["result"],
        "And of seas?",
    ]
