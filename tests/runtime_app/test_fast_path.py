"""Questions that a template answers, without a model."""

from __future__ import annotations

import time
from importlib import import_module

import pytest
from django.apps import apps

from history_app.models import RequestRecord
from history_app.recorder import recorder
from runtime_app.choices import RuntimeStatus, Template
from runtime_app.models import TriggerPhrase
from runtime_app.services import fast_path
from tests.factories import RuntimeFactory

TASKS = "/api/v1/tasks"
migration = import_module("runtime_app.migrations.0004_trigger_phrases")


@pytest.fixture(autouse=True)
def phrases(db):
    """As a new installation has them; tests with transactions empty every table."""
    migration.add_phrases(apps, None)


@pytest.fixture
def client(api_client):
    return api_client("inference")


def ask(client, content, **fields):
    answer = client.post(TASKS, {"content": content, **fields}, "application/json")
    return answer.status_code, answer.json()


@pytest.mark.parametrize("phrase", [phrase for _, _, phrase in migration.PHRASES])
def test_every_phrase_of_the_contract_is_answered(client, phrase):
    status, task = ask(client, phrase)

    assert status == 201
    assert (task["status"], task["llm_status"]) == ("COMPLETED", "skipped")
    assert task["result"]
    assert [task[f"llm_{name}"] for name in ("provider", "model", "endpoint")] == [
        None,
        None,
        None,
    ]
    assert task["finished_at"]


def test_case_spaces_and_punctuation_do_not_count(client):
    for content in ("  HELP!! ", "Która   godzina?", "Infra-status…"):
        assert ask(client, content)[1]["llm_status"] == "skipped"


@pytest.mark.parametrize("content", ["help me with rivers", "helpless", "¿?"])
def test_more_or_less_than_the_phrase_is_a_question_to_a_model(client, content):
    assert ask(client, content)[1]["llm_status"] != "skipped"


def test_a_forced_provider_is_asked_whatever_the_words(client):
    status, problem = ask(client, "/gpt help")

    assert (status, problem["code"]) == (403, "paid_mode_off")


@pytest.mark.django_db(transaction=True)  # the history is written by a thread
def test_the_answer_is_quick_and_in_the_history(client):
    times = []
    for _ in range(10):
        began = time.perf_counter()
        _, task = ask(client, "help", session_id="quick")
        times.append(time.perf_counter() - began)
    recorder.flush()
    row = RequestRecord.objects.get(pk=task["task_id"])

    assert min(times) < 0.1
    assert (row.status, row.llm_provider, row.llm_model) == ("COMPLETED", "", "")
    assert (row.path, row.session_id, row.prompt_preview) == (TASKS, "quick", "help")


def test_the_infrastructure_is_told_as_the_rows_have_it(client):
    RuntimeFactory(
        online=True,
        loaded_models=[{"name": "gemma3:4b"}],
    )
    RuntimeFactory(
        name="lab",
        position=100,
        display_name="Lab",
        kind="openai_compatible",
        status=RuntimeStatus.OFFLINE,
        error_message="It does not accept connections.",
    )

    said = ask(client, "infrastructure status")[1]["result"].splitlines()

    assert said == [
        "No model is active.",
        "Ollama: online, 1 model; in memory: gemma3:4b",
        "Lab: offline, 0 models – It does not accept connections.",
    ]


def test_the_time_is_that_of_the_installation_in_the_phrases_language(settings):
    settings.TIME_ZONE = "Asia/Tokyo"

    assert "(Asia/Tokyo)" in fast_path.answer_to("what time is it")
    english = fast_path.answer_to("what time is it")
    german = fast_path.answer_to("wie spät ist es")
    assert ("p.m." in english or "a.m." in english) or "noon" in english
    assert "p.m." not in german
    assert "a.m." not in german


def test_a_phrase_of_ones_own_is_kept_as_messages_are_compared(client):
    phrase = TriggerPhrase(phrase="Hey, Venom!", template=Template.HELP, language="en")
    phrase.full_clean()
    phrase.save()

    assert ask(client, "hey venom")[1]["llm_status"] == "skipped"


def test_adding_the_phrases_again_changes_nothing(client):
    TriggerPhrase.objects.filter(phrase="help").update(template=Template.TIME)
    migration.add_phrases(apps, None)

    assert TriggerPhrase.objects.count() == len(migration.PHRASES)
    assert TriggerPhrase.objects.get(phrase="help").template == Template.TIME


def test_templates_read_no_conversation(client, django_assert_max_num_queries):
    ask(client, "help", session_id="s")
    with django_assert_max_num_queries(14):
        ask(client, "help", session_id="s")
