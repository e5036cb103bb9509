"""Idle models leave by operations of their own, which know for whom and till when."""

from __future__ import annotations

import pytest

from models_app.models import Operation
from models_app.services import claims, operations, targets
from runtime_app.models import GatewayPresence
from runtime_app.runtimes.registry import adapter_for
from runtime_app.services import relieving, unloading
from runtime_app.services.relief import Idle
from tests.factories import InstalledModelFactory, OperationFactory

pytestmark = pytest.mark.django_db(transaction=True)
pytest_plugins = ("tests.fakes.fixtures",)

IDLE, BIG = "phi3:mini", "big:12b"


@pytest.fixture
def idle(ollama):
    """A model in memory that nobody uses."""
    InstalledModelFactory(name=IDLE, node=ollama.node)
    adapter_for(ollama).load(IDLE, seconds=5, check=lambda: None)
    return Idle(runtime=ollama, name=IDLE, frees_bytes=1, last_used_at=None)


@pytest.fixture
def parent(ollama):
    """The activation that needs its room; it holds the lock of the node."""
    return OperationFactory(
        operation_type="activate",
        model_name=BIG,
        runtime="ollama",
        node=ollama.node,
        lock_key=targets.runtimes_lock(ollama.node),
        started_by="anna",
    )


@pytest.fixture
def part(parent, idle):
    """Asked for and not carried out yet."""
    work = claims.claim(parent.pk)
    return relieving._request(work, idle, BIG)


def is_loaded(practice_ollama) -> bool:
    return IDLE in {entry.model.name for entry in practice_ollama.state.loaded()}


def carried_out(part: Operation) -> Operation:
    claims.carry_out(part.pk, unloading.perform_unload)
    return operations.get_operation(part.pk)


def test_the_parent_waits_for_its_part_and_the_page_says_why(
    parent, idle, practice_ollama, page_client, api_client
):
    claims.carry_out(parent.pk, lambda work: relieving.give_room(work, [idle], to=BIG))

    assert operations.get_operation(parent.pk).status == "completed"
    assert not is_loaded(practice_ollama)
    part = Operation.objects.get(parent=parent)
    assert (part.status, part.operation_type) == ("completed", "unload")
    assert part.started_by == "anna"
    client = page_client("Viewer")
    assert f"makes room for {BIG}" in client.get("/operations/").content.decode()
    page = client.get(f"/operations/{part.pk}/").content.decode()
    assert f"makes room for {BIG}: nobody used it" in page
    assert f"/operations/{parent.pk}/" in page
    assert (
        f"/operations/{part.pk}/"
        in client.get(f"/operations/{parent.pk}/").content.decode()
    )
    answer = api_client("read").get(f"/api/v1/models/operations/{part.pk}").json()
    assert answer["operation"]["makes_room_for"] == BIG
    assert answer["operation"]["parent_id"] == str(parent.pk)


@pytest.mark.parametrize("reason", ["pinned", "busy"])
def test_a_model_that_is_pinned_or_asked_meanwhile_stays(
    part, idle, practice_ollama, reason
):
    if reason == "pinned":
        idle.runtime.node.installed_models.update(pinned=True)
    else:
        GatewayPresence.objects.create(
            node=part.node, process="gateway", in_flight={f"ollama|{IDLE}": 1}
        )

    ended = carried_out(part)

    assert ended.status == "completed"
    assert f"{IDLE} stays: it is used again or pinned." in ended.message
    assert is_loaded(practice_ollama)


def test_a_part_that_comes_too_late_drives_nothing_out(part, parent, practice_ollama):
    Operation.objects.filter(pk=parent.pk).update(status="failed", claim_token=None)

    ended = carried_out(part)

    assert ended.status == "completed"
    assert f"nobody needs its room for {BIG} any more" in ended.message
    assert is_loaded(practice_ollama)


def test_cancelling_the_whole_cancels_its_parts(part, parent, actor, practice_ollama):
    operations.cancel_operation(operations.get_operation(parent.pk), actor=actor)

    assert operations.get_operation(part.pk).status == "cancelled"
    assert carried_out(part).status == "cancelled"
    assert is_loaded(practice_ollama)


def test_a_wish_to_unload_it_that_waits_for_the_lock_is_not_waited_for(
    parent, idle, practice_ollama
):
    node = idle.runtime.node
    waiting = OperationFactory(
        operation_type="unload",
        model_name=IDLE,
        runtime="ollama",
        node=node,
        target_key=targets.memory_target(node, "ollama", IDLE),
        lock_key=targets.runtimes_lock(node),
    )

    claims.carry_out(parent.pk, lambda work: relieving.give_room(work, [idle], to=BIG))

    assert operations.get_operation(parent.pk).status == "completed"
    assert operations.get_operation(waiting.pk).status == "pending"
    lines = " ".join(line.line for line in parent.lines.all())
    assert f"{IDLE} stays" in lines
