"""The smallest valid rows, with traits."""

from __future__ import annotations

import uuid
from datetime import timedelta
from hashlib import sha256

import factory
from django.utils import timezone

from models_app.choices import OperationStatus, OperationType, ProviderName
from models_app.models import Capabilities, InstalledModel, Node, Operation
from runtime_app.choices import AlertState, RuntimeKind, RuntimeStatus
from runtime_app.models import Alert, Runtime


class NodeFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Node
        django_get_or_create = ("name",)

    name = "test-node"


class InstalledModelFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = InstalledModel

    node = factory.SubFactory(NodeFactory)
    provider = ProviderName.OLLAMA
    name = factory.Sequence(lambda n: f"practice{n}:1b")
    digest = factory.LazyAttribute(lambda m: sha256(m.name.encode()).hexdigest())
    size_bytes = 815_319_791
    family = "gemma3"
    parameter_size = "999.89M"
    quantization = "Q4_K_M"
    context_length = 32_768


class CapabilitiesFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Capabilities

    model = factory.SubFactory(InstalledModelFactory)
    supports_chat = True


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


class AlertFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Alert

    key = factory.LazyAttribute(lambda a: f"{a.code}|{a.endpoint}|{a.model}")
    code = "llm_provider_error"
    provider = runtime = "ollama"
    model = factory.Sequence(lambda n: f"practice{n}:1b")
    endpoint = "http://127.0.0.1:9/v1"
    node = "test-node"
    error_class = "MODEL_NOT_FOUND"
    http_status = 404
    message = "Ollama at http://127.0.0.1:9/v1 answered 404"
    request_id = "req-1"

    class Params:
        closed = factory.Trait(
            state=AlertState.CLOSED, closed_at=factory.LazyFunction(timezone.now)
        )
        silenced = factory.Trait(
            silenced_until=factory.LazyFunction(
                lambda: timezone.now() + timedelta(hours=1)
            ),
            silenced_by="anna",
            silence_reason="the disk is being changed",
        )
