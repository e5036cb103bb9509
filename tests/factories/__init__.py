"""The smallest valid rows, with traits."""

from __future__ import annotations

import uuid

import factory
from django.utils import timezone

from models_app.choices import OperationStatus, OperationType
from models_app.models import Node, Operation
from runtime_app.choices import RuntimeKind, RuntimeStatus
from runtime_app.models import Runtime


class NodeFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Node
        django_get_or_create = ("name",)

    name = "test-node"


class OperationFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Operation

    node = factory.SubFactory(NodeFactory)
    operation_type = OperationType.PROBE
    params = factory.LazyFunction(lambda: {"seconds": 5, "fail": False})
    queue = "node.test-node"
    started_by = "anna"

    class Params:
        running = factory.Trait(
            status=OperationStatus.IN_PROGRESS,
            phase="working",
            progress=40,
            claim_token=factory.LazyFunction(uuid.uuid4),
            started_at=factory.LazyFunction(timezone.now),
            attempts=1,
        )
        completed = factory.Trait(
            status=OperationStatus.COMPLETED,
            phase="done",
            progress=100,
            started_at=factory.LazyFunction(timezone.now),
            completed_at=factory.LazyFunction(timezone.now),
            attempts=1,
        )
        failed = factory.Trait(
            status=OperationStatus.FAILED,
            error="It was told to fail.",
            error_code="probe_told_to_fail",
            started_at=factory.LazyFunction(timezone.now),
            completed_at=factory.LazyFunction(timezone.now),
            attempts=1,
        )


class RuntimeFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Runtime
        django_get_or_create = ("node", "name")

    node = factory.SubFactory(NodeFactory)
    name = "ollama"
    display_name = "Ollama"
    kind = RuntimeKind.OLLAMA
    base_url = "http://127.0.0.1:9"
    position = 10

    class Params:
        online = factory.Trait(
            status=RuntimeStatus.ONLINE,
            version="0.33.0",
            latency_ms=4.2,
            served_models=factory.LazyFunction(
                lambda: [{"name": "gemma3:4b", "size_bytes": 3_300_000_000}]
            ),
        )
