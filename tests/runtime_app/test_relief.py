"""The resource guard: what fits once the old model is gone, and who may have to go."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from models_app.models import Operation
from models_app.services import claims, operations
from models_app.services.operations import get_operation
from runtime_app.models import GatewayPresence, Runtime
from runtime_app.monitoring import health
from runtime_app.runtimes.registry import adapter_for
from runtime_app.services import activate, activating, loading, memory
from runtime_app.services.activation_plan import activation_preview
from tests.factories import InstalledModelFactory, RuntimeFactory
from tests.fakes.nvml import PracticeGpu
from venom_site.clients import hardware
from venom_site.lib.errors import DoesNotFit, InvalidBody
from venom_site.lib.units import GIB

pytestmark = pytest.mark.django_db(transaction=True)
pytest_plugins = ("tests.fakes.fixtures",)

BIG = "big:12b"


@pytest.fixture
def crowded(ollama, gpus, practice_ollama, monkeypatch):
    """Of 12 GiB on the GPU 2 are free and of memory none: two idle models hold 5
    each, and a third one needs more than 6."""
    now = timezone.now()
    for name, hours in (("gemma3:4b", 1), ("phi3:mini", 5)):
        InstalledModelFactory(
            name=name, node=ollama.node, last_used_at=now - timedelta(hours=hours)
        )
        adapter_for(ollama).load(name, seconds=5, check=lambda: None)
    practice_ollama.state.add_model(BIG)
    InstalledModelFactory(
        name=BIG,
        node=ollama.node,
        size_bytes=6 * GIB,
        measured_bytes=6 * GIB,
        measured_context=8192,
    )
    memory = hardware.Filled(total_bytes=4 * GIB, used_bytes=4 * GIB)
    monkeypatch.setattr(hardware, "memory", lambda: memory)
    gpus(PracticeGpu(used=10 * GIB, total=12 * GIB))
    row = health.check_runtime(ollama)
    for entry in row.loaded_models:
        entry["size_vram_bytes"] = 5 * GIB
    row.save(update_fields=["loaded_models"])
    return row


def busy_with(runtime: Runtime, model: str) -> None:
    GatewayPresence.objects.create(
        node=runtime.node, process="gateway", in_flight={f"{runtime.name}|{model}": 1}
    )


def in_memory(practice_ollama) -> set[str]:
    return {entry.model.name for entry in practice_ollama.state.loaded()}


def names(error: DoesNotFit) -> list[str]:
    return [each["name"] for each in error.extras["relief"]]


def carry_out(operation: Operation) -> Operation:
    perform = {
        "activate": activating.perform_activation,
        "load": loading.perform_load,
    }[operation.operation_type]
    claims.carry_out(operation.pk, perform)
    return operations.get_operation(operation.pk)


def refused(actor) -> DoesNotFit:
    with pytest.raises(DoesNotFit) as caught:
        activate.request_activation("ollama", BIG, actor=actor)
    assert not Operation.objects.exists()
    return caught.value


def test_asking_names_the_longest_unused_and_what_it_frees(crowded, actor):
    error = refused(actor)

    assert names(error) == ["phi3:mini"]
    assert error.extras["relief"][0]["frees_bytes"] == 5 * GIB
    assert "phi3:mini" in str(error)
    preview = activation_preview(crowded, BIG)
    assert preview.blocked_code == "does_not_fit"
    assert [idle.name for idle in preview.relief] == ["phi3:mini"]
    assert not activation_preview(crowded, BIG, relief="auto").blocked


def test_neither_a_pinned_model_nor_one_that_answers_is_named(crowded, actor):
    crowded.node.installed_models.filter(name="phi3:mini").update(pinned=True)
    assert names(refused(actor)) == ["gemma3:4b"]

    busy_with(crowded, "gemma3:4b")
    assert names(refused(actor)) == []


def test_a_foreign_process_that_holds_memory_is_named_with_its_owner(crowded, actor):
    crowded.node.installed_models.update(pinned=True)
    holder = {"pid": 7, "user": "bob", "command": "python train.py"}
    RuntimeFactory(name="vllm", node=crowded.node, kind="vllm", holder=holder)

    error = refused(actor)

    assert "python train.py of bob" in str(error)
    assert error.extras["holders"] == [{"runtime": "vllm", **holder}]


def test_auto_unloads_it_first_and_says_why(crowded, actor, practice_ollama):
    operation = activate.request_activation("ollama", BIG, actor=actor, relief="auto")
    fresh = [{**entry} for entry in crowded.loaded_models]
    watched = adapter_for(crowded)
    seen = type(watched).observe

    def observe(self):
        found = seen(self)
        sizes = {entry["name"]: entry["size_vram_bytes"] for entry in fresh}
        for entry in found.loaded or []:
            entry["size_vram_bytes"] = sizes.get(entry["name"], 0)
        return found

    type(watched).observe = observe
    try:
        ended = carry_out(operation)
    finally:
        type(watched).observe = seen

    assert ended.status == "completed", ended.error
    assert "stopping" in [step.name for step in ended.steps]
    log = " ".join(line.line for line in ended.lines.all())
    assert "phi3:mini leaves Ollama" in log
    assert "nobody uses it" in log
    assert in_memory(practice_ollama) == {"gemma3:4b", BIG}
    part = Operation.objects.get(operation_type="unload")
    assert (part.status, part.model_name) == ("completed", "phi3:mini")
    assert (part.parent, part.makes_room_for) == (ended, BIG)
    assert part.started_by == ended.started_by
    assert part.lock_key == "", "its parent holds the lock meanwhile"


def test_loading_asks_the_same_way(crowded, actor, api_client):
    with pytest.raises(DoesNotFit) as caught:
        memory.request_load(BIG, actor=actor)
    assert names(caught.value) == ["phi3:mini"]

    program = api_client("operate")
    body = {"name": BIG, "relief": "auto"}
    answer = program.post("/api/v1/models/load", body, content_type="application/json")
    assert answer.status_code == 202, answer.json()
    operation = get_operation(answer.json()["operation_id"])
    assert operation.params["relief"] == "auto"

    body = {"name": BIG, "runtime": "ollama"}
    answer = program.post(
        "/api/v1/models/activate", body, content_type="application/json"
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "does_not_fit")
    assert answer.json()["relief"][0]["name"] == "phi3:mini"


def test_only_ask_and_auto_can_be_chosen(ollama, actor):
    with pytest.raises(InvalidBody) as refusal:
        activate.request_activation("ollama", "gemma3:4b", actor=actor, relief="all")
    assert refusal.value.extras["errors"][0]["loc"] == "body.relief"


def test_without_a_gpu_too_little_memory_is_a_warning(ollama, actor, practice_ollama):
    practice_ollama.state.add_model(BIG)
    model = InstalledModelFactory(
        name=BIG,
        node=ollama.node,
        measured_bytes=4000 * GIB,
        measured_context=8192,
    )
    health.check_runtime(ollama)

    preview = activation_preview(Runtime.objects.get(pk=ollama.pk), BIG)
    assert not preview.blocked
    assert "it will be slow" in preview.warnings[0]
    assert activate.request_activation("ollama", BIG, actor=actor).status == "pending"

    model.requires_gpu = True
    model.save()
    Operation.objects.all().delete()
    assert "needs a GPU" in str(refused(actor))


def test_the_model_that_is_to_leave_counts_as_gone(crowded, actor):
    row = Runtime.objects.get(pk=crowded.pk)
    operation = activate.request_activation("ollama", "phi3:mini", actor=actor)
    assert carry_out(operation).status == "completed"
    Runtime.objects.filter(pk=row.pk).update(loaded_models=row.loaded_models)

    operation = activate.request_activation("ollama", BIG, actor=actor)

    assert operation.status == "pending", "phi3:mini leaves in any case"
