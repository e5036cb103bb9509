"""The registry: finding by name, writing rows, and the lists made of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from models_app.choices import (
    CapabilitySource,
    ListState,
    ModelStatus,
    OperationType,
)
from models_app.models import Capabilities, InstalledModel
from models_app.providers.base import Description, FoundModel
from models_app.services import model_lists, registering, registry
from models_app.services.model_filters import ModelFilter
from models_app.services.nodes import this_node
from runtime_app.models import Activation
from tests.factories import (
    CapabilitiesFactory,
    InstalledModelFactory,
    NodeFactory,
    OperationFactory,
    RuntimeFactory,
)
from tests.threads import at_once
from venom_site.lib.errors import AmbiguousName, NotFound, OutsideProfile

pytestmark = pytest.mark.django_db
pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.practice_store")

DIGEST = "a" * 64
WORDY = Description(
    context_length=8192,
    license="Apache License 2.0",
    supports_chat=True,
    supports_vision=False,
    allowed_roles=("system", "user", "assistant"),
)


def found(name="gemma3:4b", **fields):
    given = {"digest": DIGEST, "size_bytes": 3_300_000_000, "quantization": "Q4_K_M"}
    return FoundModel(name=name, **(given | fields))


def register(one=None, description=None, **fields):
    return registering.register(
        this_node(),
        one or found(),
        provider="ollama",
        description=description,
        **fields,
    )


def make_active(model):
    Activation.objects.create(
        node=model.node,
        runtime=RuntimeFactory(),
        installed_model=model,
        model_name=model.name,
        served_name=model.name,
        state="active",
    )


# Finding


@pytest.mark.parametrize("name", ["llama3.2:latest", "llama3.2", "LLAMA3.2:Latest"])
def test_case_and_the_usual_tag_do_not_matter(away, name):
    model = InstalledModelFactory(name="llama3.2:latest")

    assert registry.find_installed(name).pk == model.pk
    assert registry.get_installed("ollama", name).pk == model.pk


def test_a_tag_that_is_given_must_fit(away):
    InstalledModelFactory(name="llama3.2:latest")

    with pytest.raises(NotFound, match=r"llama3\.2:3b"):
        registry.find_installed("llama3.2:3b")


@pytest.mark.parametrize("name", ["", "..", "a b", "x" * 201, "ł:1b", "a//b", "a:b:c"])
def test_a_name_that_cannot_exist_is_not_found(away, name):
    with pytest.raises(NotFound):
        registry.find_installed(name)
    with pytest.raises(NotFound):
        registry.get_installed("ollama", name)


def test_another_node_s_model_is_not_here(away):
    InstalledModelFactory(name="far:1b", node=NodeFactory(name="shed"))

    with pytest.raises(NotFound):
        registry.find_installed("far:1b")


def test_a_name_of_two_providers_asks_which(away, settings):
    settings.RUNTIME_PROFILE = "full"
    InstalledModelFactory(name="org/model")
    other = InstalledModelFactory(name="org/model", provider="huggingface")

    with pytest.raises(AmbiguousName) as refusal:
        registry.find_installed("org/model")

    assert refusal.value.extras["providers"] == ["huggingface", "ollama"]
    assert registry.find_installed("org/model", "huggingface").pk == other.pk


@pytest.mark.parametrize(
    ("profile", "provider", "having"),
    [
        ("light", "huggingface", ["full"]),
        ("llm_off", "ollama", ["light", "full"]),
        ("llm_off", None, ["light", "full"]),
    ],
)
def test_outside_the_profile_is_said_with_the_profile_that_has_it(
    settings, profile, provider, having
):
    settings.RUNTIME_PROFILE = profile
    InstalledModelFactory(name="gemma3:4b")

    with pytest.raises(OutsideProfile) as refusal:
        registry.find_installed("gemma3:4b", provider)

    assert refusal.value.extras["profiles_with_it"] == having


def test_what_the_vendor_s_tool_has_just_brought_is_found(store, jobs):
    store.add_model("qwen3:0.6b")

    model = registry.find_installed("Qwen3:0.6B")

    assert (model.name, model.status) == ("qwen3:0.6b", "installed")
    assert ("models_app.discover_models", "node.test-node") in jobs
    assert store.requests["/api/show"] == 0


def test_a_known_model_costs_no_call_to_its_store(store):
    InstalledModelFactory(name="gemma3:4b")

    registry.find_installed("gemma3:4b")

    assert store.requests["/api/tags"] == 0


def test_a_store_that_is_away_says_not_found(away):
    with pytest.raises(NotFound):
        registry.find_installed("gemma3:4b")


def test_what_is_being_removed_is_not_taken_up_again(store):
    OperationFactory(
        running=True,
        operation_type=OperationType.REMOVE,
        provider="ollama",
        model_name="gemma3:4b",
    )

    with pytest.raises(NotFound):
        registry.find_installed("gemma3:4b")

    assert not InstalledModel.objects.exists()


# Writing


@pytest.mark.django_db(transaction=True)
def test_registering_makes_a_row_tells_pages_and_has_the_file_written(told, jobs):
    before = timezone.now()

    model = register(description=WORDY, installed_by="anna", source="registry")

    model = InstalledModel.objects.select_related("capabilities").get(pk=model.pk)
    assert (model.size_bytes, model.quantization) == (3_300_000_000, "Q4_K_M")
    assert (model.context_length, model.described_digest) == (8192, DIGEST)
    assert (model.installed_by, model.source) == ("anna", "registry")
    assert before <= model.seen_at <= timezone.now()
    assert model.capabilities.supports_chat is True
    assert model.capabilities.supports_thinking is None
    assert model.capabilities.source == CapabilitySource.DECLARED
    assert told == [("gemma3:4b", "installed")]
    assert jobs == [("models_app.export_manifest", "node.test-node")]


def test_registering_again_keeps_who_installed_it_and_when():
    installed = datetime(2026, 1, 2, tzinfo=UTC)
    first = register(found(modified_at=installed), installed_by="anna", source="x")
    again = register(found("GEMMA3:4B", size_bytes=5), description=WORDY)

    assert again.pk == first.pk
    assert InstalledModel.objects.count() == 1
    again.refresh_from_db()
    assert (again.name, again.size_bytes) == ("gemma3:4b", 5)
    assert (again.installed_by, again.source) == ("anna", "x")
    assert again.installed_at == installed


def test_a_new_digest_is_a_new_installation():
    register(found(modified_at=datetime(2026, 1, 2, tzinfo=UTC)))
    newer = datetime(2026, 2, 3, tzinfo=UTC)

    model = register(found(digest="b" * 64, modified_at=newer))

    assert (model.digest, model.installed_at) == ("b" * 64, newer)


def test_a_time_in_the_future_is_now():
    model = register(found(modified_at=timezone.now() + timedelta(days=400)))

    assert model.installed_at <= timezone.now()


def test_a_broken_one_says_what_is_wrong_and_heals():
    broken = register(status=ModelStatus.BROKEN, error="The bytes are not those.")
    assert (broken.status, broken.error) == ("broken", "The bytes are not those.")

    healed = register()

    assert (healed.status, healed.error) == ("installed", "")


def test_what_was_set_by_hand_stays():
    model = register(description=WORDY)
    model.capabilities.delete()
    CapabilitiesFactory(
        model=model, source=CapabilitySource.MANUAL, supports_vision=True
    )
    InstalledModel.objects.update(context_length=4096, quantization="mine")

    register(found(digest="c" * 64), description=WORDY)

    model = InstalledModel.objects.get()
    assert (model.context_length, model.quantization) == (4096, "mine")
    assert model.capabilities.supports_vision is True
    assert model.described_digest == "c" * 64
    assert model.license == "Apache License 2.0"


def test_a_list_that_tells_less_takes_nothing_away():
    register(description=WORDY)

    register(FoundModel(name="gemma3:4b", digest="", size_bytes=3_000_000_000))

    model = InstalledModel.objects.get()
    assert (model.digest, model.size_bytes) == (DIGEST, 3_300_000_000)
    assert model.quantization == "Q4_K_M"


def test_answers_no_table_would_take_are_cut():
    strange = found(
        family="f" * 999, parameter_size="\0\ud800" + "9" * 99, size_bytes=2**70
    )
    model = register(strange, Description(license="l" * 999, context_length=2**40))

    model.refresh_from_db()
    assert model.family == "f" * 80
    assert model.parameter_size == "9" * 20
    assert model.size_bytes is None
    assert model.context_length is None
    assert len(model.license) == 200


@pytest.mark.django_db(transaction=True)
def test_two_at_once_make_one_row():
    at_once(register, *[(found(),)] * 4)

    assert InstalledModel.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_forgetting_takes_what_hangs_on_it_and_may_happen_twice(told, jobs):
    model = register(description=WORDY)
    make_active(model)
    del told[:], jobs[:]

    registering.forget(model)
    registering.forget(model)

    assert not InstalledModel.objects.exists()
    assert not Capabilities.objects.exists()
    assert Activation.objects.get().installed_model is None
    assert told[0] == ("gemma3:4b", "available")
    assert jobs[0] == ("models_app.export_manifest", "node.test-node")


# Lists


def install(name, **fields):
    return OperationFactory(
        operation_type=OperationType.INSTALL,
        provider="ollama",
        runtime="ollama",
        model_name=name,
        **fields,
    )


def test_the_status_follows_from_open_operations():
    for name in ("quiet:1b", "newer:1b", "going:1b"):
        InstalledModelFactory(name=name)
    InstalledModelFactory(name="torn:1b", status="broken")
    install("Newer:1b")
    install("fresh:1b", running=True)
    install("old:1b", failed=True)
    OperationFactory(
        operation_type=OperationType.REMOVE, provider="ollama", model_name="going:1b"
    )

    rows = {row.name: row for row in model_lists.all_rows()}

    assert {name: row.status for name, row in rows.items()} == {
        "fresh:1b": "downloading",
        "torn:1b": "broken",
        "newer:1b": "updating",
        "going:1b": "removing",
        "quiet:1b": "installed",
    }
    assert rows["fresh:1b"].model is None
    assert rows["fresh:1b"].operation.is_running
    assert rows["quiet:1b"].operation is None


def test_what_needs_an_eye_comes_first():
    now = timezone.now()
    InstalledModelFactory(name="b:1b")
    InstalledModelFactory(name="a:1b")
    InstalledModelFactory(name="used:1b", last_used_at=now)
    make_active(InstalledModelFactory(name="serving:1b"))
    InstalledModelFactory(name="torn:1b", status="broken")
    install("fresh:1b")

    names = [row.name for row in model_lists.list_rows().rows]

    assert names == ["fresh:1b", "torn:1b", "serving:1b", "used:1b", "a:1b", "b:1b"]
    active = [row.name for row in model_lists.all_rows() if row.is_active]
    assert active == ["serving:1b"]


def test_pages_hold_every_row_once_with_those_on_their_way_in_front():
    for number in range(7):
        InstalledModelFactory(name=f"m{number}:1b")
    for number in range(4):
        install(f"new{number}:1b")

    pages = [model_lists.list_rows(page=n, per_page=3) for n in (1, 2, 3, 4)]

    names = [row.name for page in pages for row in page.rows]
    assert len(names) == len(set(names)) == 11
    assert all(name.startswith("new") for name in names[:4])
    assert {(page.total, page.pages) for page in pages} == {(11, 4)}


@pytest.mark.parametrize(("asked", "given"), [(0, 1), (-5, 1), (99, 2), (2, 2)])
def test_a_page_that_is_not_there_is_the_nearest_one(asked, given):
    InstalledModelFactory.create_batch(4)

    page = model_lists.list_rows(page=asked, per_page=3)

    assert page.page == given
    assert page.rows


def test_a_list_can_be_searched_and_narrowed(settings):
    settings.RUNTIME_PROFILE = "full"
    InstalledModelFactory(name="gemma3:4b")
    InstalledModelFactory(name="org/gemma", provider="huggingface")
    InstalledModelFactory(name="qwen3:8b")
    install("gemma3:27b")

    assert names_of(query="GEMMA") == ["gemma3:27b", "gemma3:4b", "org/gemma"]
    assert names_of(query="gemma", provider="huggingface") == ["org/gemma"]
    assert names_of(query="%") == []
    assert model_lists.list_rows(ModelFilter(query="nothing")).pages == 1


def test_a_list_is_narrowed_to_a_state():
    InstalledModelFactory(name="broken:1b", status="broken")
    make_active(InstalledModelFactory(name="active:1b"))
    InstalledModelFactory(name="updated:1b")
    InstalledModelFactory(name="plain:1b")
    install("Updated:1b")
    install("fresh:1b")

    found = {state: names_of(state=state) for state in ListState.values}

    assert found == {
        "active": ["active:1b"],
        "installed": ["plain:1b"],
        "changing": ["fresh:1b", "updated:1b"],
        "broken": ["broken:1b"],
    }


def test_unused_are_those_that_nobody_used_for_thirty_days():
    now = timezone.now()
    long, lately = now - timedelta(days=31), now - timedelta(days=29)
    InstalledModelFactory(name="left:1b", last_used_at=long, installed_at=long)
    InstalledModelFactory(name="used:1b", last_used_at=lately, installed_at=long)
    InstalledModelFactory(name="never:1b", installed_at=long)
    InstalledModelFactory(name="new:1b", installed_at=lately)
    install("fresh:1b")

    assert names_of(unused=True) == ["left:1b", "never:1b"]


def test_a_list_names_its_families_and_counts_all_beside_what_it_found():
    InstalledModelFactory(name="gemma3:4b", family="gemma3")
    InstalledModelFactory(name="gemma3:1b", family="gemma3")
    InstalledModelFactory(name="qwen3:8b", family="qwen3")
    InstalledModelFactory(name="odd:1b", family="")
    install("gemma3:27b")

    page = model_lists.list_rows(ModelFilter(family="gemma3"))

    assert [row.name for row in page.rows] == ["gemma3:1b", "gemma3:4b"]
    assert (page.total, page.installed) == (2, 4)
    assert page.families == ["gemma3", "qwen3"]


def names_of(**wanted):
    page = model_lists.list_rows(ModelFilter(**wanted))
    assert page.total == len(page.rows)
    return sorted(row.name for row in page.rows)


def test_llm_off_lists_nothing(settings):
    InstalledModelFactory()
    install("fresh:1b")
    settings.RUNTIME_PROFILE = "llm_off"

    assert model_lists.all_rows() == []
    assert model_lists.list_rows().total == 0


def test_a_thousand_models_cost_as_many_queries_as_one(django_assert_num_queries):
    node = NodeFactory()
    rows = [
        InstalledModel(node=node, provider="ollama", name=f"m{number}:1b")
        for number in range(1000)
    ]
    InstalledModel.objects.bulk_create(rows)
    install("fresh:1b")
    install("m3:1b")

    with django_assert_num_queries(3):
        page = model_lists.list_rows(page=3)
    with django_assert_num_queries(2):
        every = model_lists.all_rows()

    assert (len(page.rows), page.total, len(every)) == (50, 1001, 1001)


def test_the_row_of_one_model_knows_its_operation():
    model = InstalledModelFactory(name="gemma3:4b")
    operation = install("gemma3:4b")

    row = model_lists.row_of(model)

    assert (row.status, row.operation.pk) == ("updating", operation.pk)
