"""Conversations are forgotten when requests are, and no sooner."""

from datetime import timedelta

import pytest
from django.utils import timezone

from runtime_app.models import ChatMessage, ChatSession, Task
from runtime_app.services.chat_retention import forget_old_conversations
from tests.factories.chat import ChatSessionFactory, TaskFactory

pytestmark = pytest.mark.django_db
LONG_AGO = timezone.now() - timedelta(days=31)
LATELY = timezone.now() - timedelta(days=29)


def test_a_conversation_goes_with_its_tasks_and_messages_after_thirty_days():
    old = ChatSessionFactory(updated_at=LONG_AGO)
    TaskFactory(session=old, finished_at=LONG_AGO)
    ChatMessage.objects.create(session=old, role="user", content="Hello")
    kept = ChatSessionFactory(updated_at=LATELY)
    TaskFactory(session=kept, finished_at=LATELY)
    forget_old_conversations()
    assert list(ChatSession.objects.all()) == [kept]
    assert Task.objects.get().session == kept
    assert not ChatMessage.objects.exists()


def test_an_old_task_goes_from_a_living_conversation_and_its_words_stay():
    living = ChatSessionFactory(updated_at=LATELY)
    task = TaskFactory(session=living, finished_at=LONG_AGO)
    ChatMessage.objects.create(session=living, task=task, role="user", content="Hi")
    forget_old_conversations()
    assert not Task.objects.exists()
    assert ChatMessage.objects.get().task is None


def test_an_open_task_keeps_itself_and_its_conversation():
    old = ChatSessionFactory(updated_at=LONG_AGO)
    TaskFactory(session=old, finished_at=None, created_at=LONG_AGO)
    forget_old_conversations()
    assert ChatSession.objects.exists()
    assert Task.objects.exists()


def test_another_limit_counts(settings):
    settings.ENV = settings.ENV.model_copy(update={"VENOM_HISTORY_RETENTION_DAYS": 7})
    ChatSessionFactory(updated_at=timezone.now() - timedelta(days=8))
    forget_old_conversations()
    assert not ChatSession.objects.exists()
