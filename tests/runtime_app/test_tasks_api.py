"""What a question must be, and what becomes of rows without a running gateway."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.utils import timezone

from history_app.choices import RequestStatus
from runtime_app.choices import MessageRole
from runtime_app.gateway.answer_words import AnswerWords
from runtime_app.models import ChatMessage, ChatSession, Task
from runtime_app.services import sessions, task_rows
from runtime_app.services.task_rows import Progress
from tests.factories import RuntimeFactory
from tests.factories.chat import ChatMessageFactory, ChatSessionFactory, TaskFactory
from tests.factories.history import RequestRecordFactory

pytestmark = pytest.mark.django_db

TASKS, SESSIONS = "/api/v1/tasks", "/api/v1/sessions"


@pytest.fixture
def client(api_client):
    return api_client("inference")


def ask(client, content="Hello", **fields):
    return client.post(TASKS, {"content": content, **fields}, "application/json")


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"content": ""}, "body.content"),
        ({"content": " \n"}, "body.content"),
        ({"content": "x" * 100_001}, "body.content"),
        ({"content": 7}, "body.content"),
        ({"session_id": "a/b"}, "body.session_id"),
        ({"session_id": ".."}, "body.session_id"),
        ({"session_id": "x" * 65}, "body.session_id"),
        ({"mode": "fast"}, "body.mode"),
        ({"generation_params": {"temperature": 3}}, "body.generation_params"),
        ({"generation_params": {"messages": []}}, "body.generation_params"),
        ({"images": ["https://example.org/a.png"]}, "body.images"),
        ({"images": ["data:text/html;base64,AAAA"]}, "body.images"),
        ({"store": "no"}, "body.store"),
    ],
)
def test_a_question_that_does_not_fit_is_422_with_its_place(client, fields, place):
    answer = ask(client, **fields)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body")
    assert answer.json()["errors"][0]["loc"].startswith(place)
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"content": "/gpt Hello"},
        {"content": "@GEM  Hello"},
        {"forced_provider": "gem"},
        {"forced_provider": "google-gemini"},
        {"model": "openai/gpt-x"},
    ],
)
def test_a_forced_cloud_is_forbidden_while_paid_mode_is_off(client, fields):
    answer = ask(client, **fields)

    assert (answer.status_code, answer.json()["code"]) == (403, "paid_mode_off")
    assert not Task.objects.exists()


def test_a_slash_that_is_no_prefix_is_part_of_the_question(client):
    for content in ("/gptHello", "/gpt", "see /gpt now"):
        assert ask(client, content).json()["content"] == content


def test_a_forced_server_must_exist_and_be_in_the_profile(client):
    assert ask(client, forced_provider="nowhere").json()["code"] == "unknown_runtime"
    RuntimeFactory(name="vllm", kind="vllm")
    answer = ask(client, forced_provider="vllm")

    assert (answer.status_code, answer.json()["code"]) == (403, "outside_profile")


def test_without_a_running_gateway_a_task_ends_and_may_be_asked_again(client):
    pk = ask(client).json()["task_id"]
    task = client.get(f"{TASKS}/{pk}").json()

    assert task["status"] == "FAILED"
    assert task["error"]["code"] == "gateway_stopping"
    assert task["error"]["retryable"] is True


@pytest.mark.parametrize("pk", ["x", "019a5b1e-0000-7000-8000-000000000000"])
def test_an_id_that_is_none_is_404(client, pk):
    assert client.get(f"{TASKS}/{pk}").status_code == 404
    assert client.post(f"{TASKS}/{pk}/cancel").status_code == 404


def test_who_may_operate_ends_the_task_of_another(api_client):
    task = TaskFactory(running=True)

    assert api_client("read").post(f"{TASKS}/{task.pk}/cancel").status_code == 403
    answer = api_client("operate").post(f"{TASKS}/{task.pk}/cancel")

    assert answer.status_code == 200
    assert answer.json()["content_hidden"] is True
    assert Task.objects.get().cancel_requested


def test_a_task_whose_process_vanished_is_lost_and_its_conversation_stays(caplog):
    old = timezone.now() - timedelta(minutes=6)
    silent = TaskFactory(running=True, updated_at=old)
    ChatMessageFactory(task=silent)
    alive = TaskFactory(running=True)
    ended = TaskFactory(completed=True, updated_at=old)

    with caplog.at_level(logging.WARNING):
        assert task_rows.mark_lost_tasks() == 1
    assert task_rows.mark_lost_tasks() == 0

    silent.refresh_from_db()
    assert (silent.status, silent.error_code) == ("LOST", "task_lost")
    assert silent.error_retryable
    assert silent.result == "It is"
    assert silent.finished_at
    assert Task.objects.get(pk=alive.pk).status == "PROCESSING"
    assert Task.objects.get(pk=ended.pk).status == "COMPLETED"
    assert ChatMessage.objects.count() == 1


def test_a_task_is_lost_as_soon_as_the_history_knows_that_its_process_ended():
    task = TaskFactory(running=True)
    other = TaskFactory(running=True)
    record = RequestRecordFactory(id=task.pk, running=True)
    RequestRecordFactory(id=other.pk, running=True)
    assert task_rows.mark_lost_tasks() == 0

    record.status = RequestStatus.LOST
    record.save()
    assert task_rows.mark_lost_tasks() == 1

    task.refresh_from_db()
    assert (task.status, task.error_code) == ("LOST", "task_lost")
    assert task.error_message == "The process that answered this has ended."
    assert Task.objects.get(pk=other.pk).status == "PROCESSING"


def test_a_task_given_up_too_early_is_ended_by_who_answers_it():
    task = TaskFactory(running=True, updated_at=timezone.now() - timedelta(minutes=6))
    task_rows.mark_lost_tasks()

    task_rows.save_progress([Progress(pk=task.pk, result="It is d")], [task.pk])
    assert Task.objects.get().status == "LOST"
    task_rows.finish(Progress(pk=task.pk, result="It is dry."), "COMPLETED")

    task.refresh_from_db()
    assert (task.status, task.result, task.error_code) == (
        "COMPLETED",
        "It is dry.",
        "",
    )


def test_an_ended_task_is_never_changed():
    task = TaskFactory(completed=True)

    task_rows.finish(Progress(pk=task.pk, result="Other"), "CANCELLED")
    unwanted = task_rows.save_progress([Progress(pk=task.pk)], [task.pk])

    task.refresh_from_db()
    assert (task.status, task.result) == ("COMPLETED", "It is dry.")
    assert unwanted == {task.pk}


def test_conversations_come_latest_first_page_by_page(client):
    for name in ("one", "two", "three", "one"):
        ask(client, f"Of {name}", session_id=name)

    first = client.get(SESSIONS, {"limit": 2}).json()
    rest = client.get(SESSIONS, {"limit": 2, "cursor": first["next"]}).json()

    assert [s["session_id"] for s in first["sessions"]] == ["one", "three"]
    assert [s["session_id"] for s in rest["sessions"]] == ["two"]
    assert rest["next"] is None
    assert first["sessions"][0]["title"] == "Of one"
    assert first["sessions"][0]["message_count"] == 2


def test_the_title_is_the_beginning_of_the_first_question(client):
    ask(client, "A river\n" + "is long " * 20, session_id="s")
    ask(client, "And wide", session_id="s")
    title = client.get(f"{SESSIONS}/s").json()["title"]

    assert title == ("A river " + "is long " * 20)[:60].strip()


def test_readers_see_conversations_without_their_words(client, api_client):
    ask(client, "My red boat", session_id="s")
    reader, governor = api_client("read"), api_client("govern")

    seen = reader.get(f"{SESSIONS}/s").json()
    assert (seen["title"], seen["content_hidden"]) == (None, True)
    assert [message["content"] for message in seen["messages"]] == [None]
    assert b"boat" not in reader.get(SESSIONS).content
    assert governor.get(f"{SESSIONS}/s").json()["title"] == "My red boat"


def test_the_same_name_of_two_owners_is_two_conversations(client, api_client):
    other = api_client("inference", "read")
    ask(client, "Of one", session_id="s")
    ask(other, "Of the other", session_id="s")

    assert ChatSession.objects.count() == 2
    assert client.get(f"{SESSIONS}/s").json()["title"] == "Of one"
    assert other.get(f"{SESSIONS}/s").json()["title"] == "Of the other"
    assert client.delete(f"{SESSIONS}/s").status_code == 200
    assert client.get(f"{SESSIONS}/s").status_code == 404
    assert ChatSession.objects.get().title == "Of the other"


def test_only_whole_turns_that_fit_are_told_again():
    session = ChatSessionFactory()
    turns = ["a", "b" * sessions.MOST_CHARACTERS, "c"]
    for number, text in enumerate(turns):
        task = TaskFactory(session=session, completed=True)
        ChatMessageFactory(task=task, content=f"Question {number}")
        ChatMessageFactory(task=task, role=MessageRole.ASSISTANT, content=text)
    ChatMessageFactory(task=TaskFactory(session=session), content="Not answered")

    told = sessions.turns_before(TaskFactory(session=session))

    assert told == [
        {"role": "user", "content": "Question 2"},
        {"role": "assistant", "content": "c"},
    ]


def test_a_context_is_merged_one_level_deep_and_none_takes_away():
    context = {"a": {"x": 1, "y": {"z": 1}}, "b": 2, "c": {"d": 1}}

    changes = {"a": {"y": {"w": 2}, "v": 3}, "b": None, "c": None, "e": 5}

    assert sessions.merged(context, changes) == {
        "a": {"x": 1, "y": {"w": 2}, "v": 3},
        "e": 5,
    }


def test_words_are_read_across_pieces_and_thoughts_left_out():
    words = AnswerWords(is_stream=True)
    whole = (
        b'data: {"choices":[{"delta":{"reasoning":"Hm"}}]}\r\n\r\n'
        b'data: {"choices":[{"delta":{"content":"\xc5\xbba"}}]}\n\n'
        b'data: {"choices":[{"delta":{"content":"ba\\u0000\\ud800"}}]}\n\n'
        b": a remark\n\ndata: nonsense\n\ndata: [1]\n\n"
    )
    said = "".join(words.feed(whole[i : i + 3]) for i in range(0, len(whole), 3))

    assert said == "Żaba?"
    assert not words.is_complete
    words.feed(b"data: [DONE]\n\n")
    assert words.is_complete


def test_an_answer_that_did_not_stream_is_read_at_its_end():
    words = AnswerWords(is_stream=False)
    words.feed(b'{"choices":[{"message":')
    words.feed(b'{"content":"Yes"}}]}')

    assert words.end() == "Yes"
    assert words.is_complete
