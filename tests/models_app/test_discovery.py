"""Discovery: what others did in the store shows in the registry, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from models_app.choices import OperationType
from models_app.models import InstalledModel
from models_app.providers.base import FoundModel
from models_app.services import discovery, registering
from models_app.services.nodes import this_node
from tests.factories import (
    CapabilitiesFactory,
    InstalledModelFactory,
    NodeFactory,
    OperationFactory,
)
from tests.fakes.ollama_manifests import manifest_of
from tests.threads import at_once

pytestmark = pytest.mark.django_db
pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.practice_store")


@pytest.fixture(autouse=True)
def _folder(data_folder):
    """The manifest goes there."""


def names():
    return sorted(InstalledModel.objects.values_list("name", flat=True))


def row(name):
    return InstalledModel.objects.select_related("capabilities").get(name=name)


def digest_of(store, name):
    return manifest_of(store.models[name]).digest.removeprefix("sha256:")


def age(**fields):
    """All rows as if they had been seen a while ago."""
    past = timezone.now() - timedelta(minutes=10)
    InstalledModel.objects.update(seen_at=past, **fields)


def test_what_the_store_holds_becomes_rows_that_are_described(store, data_folder):
    discovery.discover()

    assert names() == ["gemma3:4b", "phi3:mini"]
    model = row("gemma3:4b")
    assert model.digest == digest_of(store, "gemma3:4b")
    assert (model.family, model.quantization) == ("gemma3", "Q4_K_M")
    assert model.context_length == 131_072
    assert model.capabilities.supports_vision is True
    assert model.installed_at == store.models["gemma3:4b"].modified_at
    assert "gemma3:4b" in (data_folder / "models" / "manifest.json").read_text()


def test_a_second_look_describes_nothing_and_changes_nothing(store, told):
    discovery.discover()
    asked = store.requests["/api/show"]
    del told[:]
    age()

    discovery.discover()

    assert store.requests["/api/show"] == asked == 2
    assert told == []
    fresh = timezone.now() - timedelta(minutes=1)
    assert not InstalledModel.objects.filter(seen_at__lt=fresh).exists()


def test_a_changed_digest_is_described_again_and_heals(store):
    discovery.discover()
    age(digest="0" * 64, described_digest="0" * 64, status="broken", error="Torn.")

    discovery.discover()

    model = row("gemma3:4b")
    assert model.digest == model.described_digest == digest_of(store, "gemma3:4b")
    assert (model.status, model.error) == ("installed", "")
    assert store.requests["/api/show"] == 4


def test_a_broken_one_with_the_same_digest_stays_broken(store):
    discovery.discover()
    age(status="broken", error="Torn.", size_bytes=1)

    discovery.discover()

    model = row("gemma3:4b")
    assert (model.status, model.error) == ("broken", "Torn.")
    assert model.size_bytes == store.models["gemma3:4b"].size_bytes


def test_what_the_vendor_s_tool_removed_goes(store):
    discovery.discover()
    store.remove_model("phi3:mini")
    age()

    discovery.discover()

    assert names() == ["gemma3:4b"]


def test_another_node_s_and_another_provider_s_rows_stay(store):
    InstalledModelFactory(name="far:1b", node=NodeFactory(name="shed"))
    InstalledModelFactory(name="org/model", provider="huggingface")
    age()

    discovery.discover()

    assert {"far:1b", "org/model"} <= set(names())


@pytest.mark.parametrize(
    "fault", ["status:500", "status:404", "garbage", "cut_mid_line", "slow_headers:5"]
)
def test_a_list_that_failed_removes_nothing(store, fault):
    discovery.discover()
    age()
    store.faults.plan("/api/tags", fault)
    store.models.clear()

    discovery.discover()

    assert names() == ["gemma3:4b", "phi3:mini"]


def test_a_store_that_is_away_changes_nothing(away):
    InstalledModelFactory(name="gemma3:4b")
    age()

    discovery.discover()

    assert names() == ["gemma3:4b"]


def test_a_list_with_an_entry_without_a_name_is_not_the_whole_list(store, monkeypatch):
    discovery.discover()
    age()
    whole = [FoundModel(name="gemma3:4b", digest="1" * 64, size_bytes=1)]
    torn = [*whole, FoundModel(name="", digest="", size_bytes=None)]
    listed = iter([torn, whole])
    adapter = discovery.provider_for("ollama")
    monkeypatch.setattr(adapter, "list_installed", lambda: next(listed))

    discovery.discover()
    assert names() == ["gemma3:4b", "phi3:mini"]

    discovery.discover()
    assert names() == ["gemma3:4b"]


def test_what_cannot_be_described_has_a_row_and_is_asked_again(store):
    store.faults.plan("/api/show", "status:500", times=2)

    discovery.discover()
    assert names() == ["gemma3:4b", "phi3:mini"]
    assert not InstalledModel.objects.exclude(described_digest="").exists()

    age()
    discovery.discover()
    assert row("phi3:mini").described_digest


def test_one_that_cannot_be_described_keeps_nobody_from_the_others(store):
    store.faults.plan("/api/show", "status:500")
    store.add_model("qwen3:0.6b")

    discovery.discover()

    described = InstalledModel.objects.exclude(described_digest="")
    assert described.count() == 2


def test_a_store_that_has_gone_away_is_asked_three_times(store):
    store.faults.plan("/api/show", "status:500", times=0)
    for number in range(6):
        store.add_model(f"practice{number}:1b")

    discovery.discover()

    assert store.requests["/api/show"] == 3
    assert len(names()) == 8


def between_list_and_rows(monkeypatch, happens):
    """Let something happen just after the store was listed."""
    adapter = discovery.provider_for("ollama")
    listing = adapter.list_installed

    def then():
        listed = listing()
        happens()
        return listed

    monkeypatch.setattr(adapter, "list_installed", then)


def test_what_was_registered_after_the_list_was_read_stays(store, monkeypatch):
    late = FoundModel(name="late:1b", digest="2" * 64, size_bytes=1)

    def register():
        registering.register(this_node(), late, provider="ollama", description=None)

    between_list_and_rows(monkeypatch, register)

    discovery.discover()

    assert names() == ["gemma3:4b", "late:1b", "phi3:mini"]


def test_a_newer_digest_is_not_put_back(store, monkeypatch):
    discovery.discover()
    age()
    newer = FoundModel(name="gemma3:4b", digest="2" * 64, size_bytes=1)

    def register():
        registering.register(this_node(), newer, provider="ollama", description=None)

    between_list_and_rows(monkeypatch, register)
    InstalledModel.objects.update(described_digest="")

    discovery.discover()

    assert row("gemma3:4b").digest == "2" * 64


@pytest.mark.parametrize("trait", ["running", "completed"])
@pytest.mark.parametrize("known", [True, False])
def test_what_was_removed_meanwhile_does_not_come_back(
    store, monkeypatch, trait, known
):
    if known:
        discovery.discover()
        age(described_digest="")

    def remove():
        InstalledModel.objects.filter(name="phi3:mini").delete()
        OperationFactory(
            operation_type=OperationType.REMOVE,
            provider="ollama",
            model_name="phi3:mini",
            **{trait: True},
        )

    between_list_and_rows(monkeypatch, remove)

    discovery.discover()

    assert names() == ["gemma3:4b"]


def test_what_was_removed_before_may_come_back(store):
    past = timezone.now() - timedelta(minutes=1)
    removal = OperationFactory(
        operation_type=OperationType.REMOVE,
        provider="ollama",
        model_name="phi3:mini",
        completed=True,
    )
    type(removal).objects.update(completed_at=past)

    discovery.discover()

    assert "phi3:mini" in names()


def test_names_we_could_not_address_get_no_row(store, monkeypatch):
    strange = [
        FoundModel(name=name, digest="1" * 64, size_bytes=1)
        for name in ("host:5000/a:1b", "x" * 300, "a b", "../up", "fine:1b")
    ]
    adapter = discovery.provider_for("ollama")
    monkeypatch.setattr(adapter, "list_installed", lambda: strange)

    discovery.discover()

    assert names() == ["fine:1b"]


def test_hand_set_capabilities_outlive_a_look(store):
    discovery.discover()
    model = row("gemma3:4b")
    model.capabilities.delete()
    CapabilitiesFactory(model=model, source="manual", supports_vision=False)
    age(described_digest="")

    discovery.discover()

    assert row("gemma3:4b").capabilities.supports_vision is False


@pytest.mark.parametrize("profile", ["llm_off"])
def test_outside_the_profile_nobody_is_asked(store, settings, profile):
    settings.RUNTIME_PROFILE = profile

    discovery.discover()

    assert store.requests["/api/tags"] == 0
    assert names() == []


@pytest.mark.django_db(transaction=True)
def test_two_looks_at_once_are_harmless(store):
    for number in range(8):
        store.add_model(f"practice{number}:1b")

    at_once(discovery.discover, (), ())

    assert len(names()) == 10


def test_every_live_node_is_asked(jobs):
    now = timezone.now()
    NodeFactory(name="shed", last_seen_at=now)
    NodeFactory(name="gone", last_seen_at=now - timedelta(hours=1))

    discovery.fan_out()

    assert [where for _task, where in jobs] == ["node.shed", "node.test-node"]
