"""Conversations and tasks, with traits."""

import factory
from django.utils import timezone

from history_app.choices import RequestStatus
from runtime_app.choices import LlmStatus, MessageRole
from runtime_app.models import ChatMessage, ChatSession, Task


class ChatSessionFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = ChatSession

    identifier = factory.Sequence(lambda n: f"session-{n}")
    owner = "key:k-1"


class TaskFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Task

    session = factory.SubFactory(ChatSessionFactory)
    owner = factory.SelfAttribute("session.owner")
    content = "What is the weather?"

    class Params:
        running = factory.Trait(status=RequestStatus.PROCESSING, result="It is")
        completed = factory.Trait(
            status=RequestStatus.COMPLETED,
            result="It is dry.",
            llm_status=LlmStatus.READY,
            finished_at=factory.LazyFunction(timezone.now),
        )


class ChatMessageFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = ChatMessage

    session = factory.SelfAttribute("task.session")
    task = factory.SubFactory(TaskFactory, completed=True)
    role = MessageRole.USER
    content = "Hello"
