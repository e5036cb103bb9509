"""Removing: what it would do, who may not go, and the work in the worker."""

from __future__ import annotations

import pytest
from django.utils import translation

from history_app.models import AuditEntry
from models_app.choices import OperationStatus, OperationType, PendingPhase
from models_app.models import InstalledModel
from models_app.services import (
    claims,
    discovery,
    model_lists,
    operation_lists,
    operations,
    remove,
)
from runtime_app.models import Activation
from tests.factories import InstalledModelFactory, OperationFactory, RuntimeFactory
from venom_site.lib.errors import ModelActive, ModelPinned, OperationConflict

pytestmark = pytest.mark.django_db(transaction=True)
pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.practice_store")


@pytest.fixture
def gemma():
    return InstalledModelFactory(name="gemma3:4b", size_bytes=3_338_801_804)


def set_active(model, state="active"):
    Activation.objects.create(
        node=model.node,
        runtime=RuntimeFactory(),
        installed_model=model,
        model_name=model.name,
        served_name=model.name,
        state=state,
    )


def install_of(model, **fields):
    return OperationFactory(
        operation_type=OperationType.INSTALL,
        provider="ollama",
        model_name=model.name,
        target_key=f"test-node|model|ollama/{model.name}",
        **fields,
    )


def carried_out(operation):
    claims.carry_out(operation.pk, remove.perform_remove)
    operation.refresh_from_db()
    return operation


def lines(operation):
    return " ".join(operation.lines.values_list("line", flat=True))


# What it would do


def test_a_removal_says_what_is_freed(gemma):
    InstalledModel.objects.update(requests_day=2)
    gemma.refresh_from_db()

    removal = remove.removal_of(gemma)

    assert removal.freed_bytes == 3_338_801_804
    assert (removal.blocked, removal.blocked_code) == ("", "")
    assert removal.effects == [
        "Up to 3.3 GB on the disk are freed.",
        "2 requests used it in the last 24 hours.",
    ]


def test_another_name_of_the_same_bytes_keeps_them(gemma):
    twin = InstalledModelFactory(name="mine:latest", digest=gemma.digest)
    InstalledModelFactory(name="org/m", provider="huggingface", digest=gemma.digest)

    removal = remove.removal_of(gemma)

    assert removal.freed_bytes == 0
    assert removal.shared_with == [twin]
    assert "mine:latest" in removal.effects[0]


def test_models_without_a_digest_share_nothing():
    model = InstalledModelFactory(digest="", size_bytes=None)
    InstalledModelFactory(digest="")

    removal = remove.removal_of(model)

    assert (removal.freed_bytes, removal.shared_with) == (None, [])


def test_the_active_model_is_locked_with_the_reason(gemma, actor):
    set_active(gemma)

    removal = remove.removal_of(gemma)
    assert removal.blocked_code == "model_active"
    assert "gemma3:4b" in removal.blocked
    with pytest.raises(ModelActive, match="Activate another model first"):
        remove.request_remove(gemma, actor=actor)


@pytest.mark.parametrize(
    ("served", "runtime", "locked"),
    [
        ("gemma3:4b", "ollama", True),
        ("Gemma3:4B", "ollama", True),
        ("gemma3:4", "ollama", False),
        ("gemma3:4b", "practice", False),
    ],
)
def test_an_active_model_is_locked_before_its_activation_points_at_it(
    gemma, actor, served, runtime, locked
):
    set_active(gemma)
    Activation.objects.update(
        installed_model=None,
        served_name=served,
        runtime=RuntimeFactory(name=runtime),
    )

    assert bool(remove.removal_of(gemma).blocked) is locked
    assert InstalledModel.objects.for_display().get(pk=gemma.pk).is_active is locked
    if locked:
        with pytest.raises(ModelActive):
            remove.request_remove(gemma, actor=actor)


def test_the_same_name_active_on_another_node_locks_nothing(gemma, actor):
    set_active(InstalledModelFactory(name="gemma3:4b", node__name="shed"))
    Activation.objects.update(installed_model=None)

    assert remove.request_remove(gemma, actor=actor)


def test_a_formerly_active_model_may_go_and_says_so(gemma, actor):
    set_active(gemma, "former")

    assert "active before" in remove.removal_of(gemma).effects[-1]
    assert remove.request_remove(gemma, actor=actor)


def test_a_pinned_model_is_locked(actor):
    model = InstalledModelFactory(pinned=True)

    assert remove.removal_of(model).blocked_code == "model_pinned"
    with pytest.raises(ModelPinned, match="Unpin"):
        remove.request_remove(model, actor=actor)


def test_an_open_install_holds_the_model(gemma, actor):
    install = install_of(gemma)

    assert remove.removal_of(gemma).blocked_code == "operation_conflict"
    with pytest.raises(OperationConflict) as refusal:
        remove.request_remove(gemma, actor=actor)
    assert refusal.value.extras["operation_id"] == str(install.pk)


# The wish


def test_the_wish_is_an_operation_and_an_audit_row(gemma, actor):
    operation = remove.request_remove(gemma, actor=actor)

    assert operation.operation_type == OperationType.REMOVE
    assert (operation.model_name, operation.provider) == ("gemma3:4b", "ollama")
    assert operation.queue == "node.test-node"
    entry = AuditEntry.objects.get(verb="operation.request")
    assert entry.object_name == "remove gemma3:4b"


def test_a_second_wish_joins_the_first(gemma, actor):
    first = remove.request_remove(gemma, actor=actor, delay_seconds=10)

    assert remove.request_remove(gemma, actor=actor).pk == first.pk


def test_within_the_delay_the_wish_can_be_taken_back(store, gemma, actor):
    operation = remove.request_remove(gemma, actor=actor, delay_seconds=10)

    assert operation.phase == PendingPhase.SCHEDULED
    assert model_lists.row_of(gemma).status == "removing"
    assert carried_out(operation).status == OperationStatus.PENDING
    operations.cancel_operation(operation, actor=actor)
    assert model_lists.row_of(gemma).status == "installed"
    assert "gemma3:4b" in store.models


# The work


def test_it_leaves_the_store_and_the_registry(store, gemma, actor, told, jobs):
    operation = carried_out(remove.request_remove(gemma, actor=actor))

    assert operation.status == OperationStatus.COMPLETED
    assert "gemma3:4b" not in store.models
    assert not InstalledModel.objects.exists()
    assert ("gemma3:4b", "available") in told
    assert "models_app.export_manifest" in [task for task, _where in jobs]
    [shown] = operation_lists.latest()
    assert shown.newest_line.startswith("gemma3:4b was removed in ")
    assert shown.newest_line.endswith(" Up to 3.3 GB were freed.")
    assert [step.state for step in operation.steps] == ["done"] * 3


def test_what_is_in_memory_is_unloaded_first(store, gemma, actor):
    adapter = discovery.provider_for("ollama")
    adapter._client.load("gemma3:4b", keep_alive="10m", seconds=5, check=lambda: None)
    assert store.loaded()

    carried_out(remove.request_remove(gemma, actor=actor))

    assert not store.loaded()


def test_nothing_is_said_to_be_freed_when_another_name_keeps_it(store, gemma, actor):
    InstalledModelFactory(name="mine:latest", digest=gemma.digest)

    operation = carried_out(remove.request_remove(gemma, actor=actor))

    assert "Nothing was freed: mine:latest holds the same bytes." in lines(operation)


def test_what_became_active_meanwhile_stays(store, gemma, actor):
    operation = remove.request_remove(gemma, actor=actor)
    set_active(gemma)

    operation = carried_out(operation)

    assert operation.status == OperationStatus.FAILED
    assert operation.error_code == "model_active"
    assert "gemma3:4b" in store.models


def test_what_was_pinned_meanwhile_stays(store, gemma, actor):
    operation = remove.request_remove(gemma, actor=actor)
    InstalledModel.objects.update(pinned=True)

    assert carried_out(operation).error_code == "model_pinned"
    assert InstalledModel.objects.exists()


def test_what_is_gone_from_the_store_already_loses_its_row(store, gemma, actor):
    store.remove_model("gemma3:4b")

    operation = carried_out(remove.request_remove(gemma, actor=actor))

    assert operation.status == OperationStatus.COMPLETED
    assert not InstalledModel.objects.exists()


def test_a_removal_that_was_cut_goes_on_and_ends_well(store, gemma, actor):
    operation = remove.request_remove(gemma, actor=actor)
    InstalledModel.objects.all().delete()
    store.remove_model("gemma3:4b")

    operation = carried_out(operation)

    assert operation.status == OperationStatus.COMPLETED
    assert "It was gone already." in lines(operation)


def test_a_store_that_is_away_fails_and_keeps_the_row(away, gemma, actor):
    operation = carried_out(remove.request_remove(gemma, actor=actor))

    assert operation.status == OperationStatus.FAILED
    assert operation.error_code == "provider_unreachable"
    assert InstalledModel.objects.exists()


def test_what_the_store_refuses_keeps_the_row_and_can_be_retried(store, gemma, actor):
    store.faults.plan("/api/delete", "status:500")
    operation = carried_out(remove.request_remove(gemma, actor=actor))
    assert operation.status == OperationStatus.FAILED
    assert InstalledModel.objects.exists()

    operations.retry_operation(operation, actor=actor)

    assert carried_out(operation).status == OperationStatus.COMPLETED
    assert not InstalledModel.objects.exists()


def test_what_the_worker_stores_is_english(store, gemma, actor):
    operation = remove.request_remove(gemma, actor=actor)
    set_active(gemma)

    with translation.override("pl"):
        operation = carried_out(operation)

    assert operation.error.startswith("“gemma3:4b” answers requests now.")
