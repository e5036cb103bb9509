"""Several revisions of one name, side by side: found, listed, told apart."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from models_app.models import InstalledModel
from models_app.services import model_lists, registry, remove, storage
from models_app.services.model_filters import ModelFilter
from models_app.services.nodes import this_node
from runtime_app.models import Activation
from tests.factories import InstalledModelFactory, RuntimeFactory
from venom_site.lib.access import SYSTEM
from venom_site.lib.errors import (
    ForeignFolder,
    ModelActive,
    NotFound,
    OperationConflict,
    SeveralRevisions,
)

pytestmark = pytest.mark.django_db

NAME = "org/model"
OLD, NEW = "a1" * 20, "b2" * 20


@pytest.fixture(autouse=True)
def full_profile(settings):
    settings.RUNTIME_PROFILE = "full"


@pytest.fixture(autouse=True)
def only_rows(monkeypatch):
    """The stores themselves are looked into by other tests."""
    monkeypatch.setattr(registry, "_took_up", lambda *_: False)


def version(revision, *, days=0, **fields):
    return InstalledModelFactory(
        name=NAME,
        provider="huggingface",
        revision=revision,
        installed_at=timezone.now() - timedelta(days=days),
        **fields,
    )


@pytest.fixture
def two():
    return version(OLD, days=3), version(NEW)


def activate(model):
    runtime = RuntimeFactory(name="vllm", kind="vllm")
    return Activation.objects.create(
        node=model.node,
        runtime=runtime,
        installed_model=model,
        model_name=model.name,
        served_name=model.name,
        state="active",
    )


def test_a_name_means_the_newest_revision(two):
    assert registry.find_installed(NAME).revision == NEW
    assert registry.get_installed("huggingface", NAME).revision == NEW


def test_a_name_means_the_active_revision_before_the_newest(two):
    activate(two[0])

    assert registry.find_installed(NAME).revision == OLD
    [row] = model_lists.all_rows()
    assert (row.model.revision, row.is_active) == (OLD, True)


@pytest.mark.parametrize("said", [OLD, OLD[:7], OLD[:12].upper()])
def test_a_revision_is_found_by_its_commit_or_the_first_digits(two, said):
    assert registry.find_installed(NAME, None, said).revision == OLD


@pytest.mark.parametrize("said", [OLD[:6], "main", "c3" * 20])
def test_a_revision_that_is_not_there_is_not_found(two, said):
    with pytest.raises(NotFound, match=f"Revision {said}"):
        registry.find_installed(NAME, None, said)


def test_a_list_has_one_row_for_each_name_and_counts_its_versions(two):
    InstalledModelFactory(name="gemma3:4b")

    rows = {row.name: row.model for row in model_lists.list_rows().rows}

    assert rows[NAME].revision == NEW
    assert rows[NAME].version_count == 2
    assert rows["gemma3:4b"].version_count == 1
    page = model_lists.list_rows(ModelFilter(query="org"))
    assert (page.total, page.installed) == (1, 2)


def test_lists_can_be_ordered_by_size_and_by_how_long_nobody_used_them():
    now = timezone.now()
    InstalledModelFactory(name="small:1b", size_bytes=1, last_used_at=now)
    InstalledModelFactory(name="large:1b", size_bytes=9, last_used_at=now)
    InstalledModelFactory(name="never:1b", size_bytes=5, last_used_at=None)

    def names(order):
        rows = model_lists.list_rows(ModelFilter(order=order)).rows
        return [row.name for row in rows]

    assert names("size") == ["large:1b", "never:1b", "small:1b"]
    assert names("unused")[0] == "never:1b"


def test_every_version_is_told_with_the_active_one_marked(two, api_client):
    activate(two[0])

    answer = api_client("read").get(f"/api/v1/models/{NAME}/versions").json()

    told = [(each["revision"], each["active"]) for each in answer["versions"]]
    assert told == [(NEW, False), (OLD, True)]


def test_two_revisions_of_the_same_bytes_take_their_room_twice(two):
    InstalledModel.objects.update(digest="d" * 64, size_bytes=10)
    InstalledModelFactory(name="a:1b", digest="e" * 64, size_bytes=5)
    InstalledModelFactory(name="b:1b", digest="e" * 64, size_bytes=5)

    assert storage.storage_of(this_node()).used_bytes == 25
    assert remove.removal_of(two[0]).shared_with == []


def test_what_others_put_there_takes_nothing_of_the_quota():
    version("", size_bytes=10, is_foreign=True, path="/shelf/model")

    assert storage.storage_of(this_node()).used_bytes == 0


# Removing


def test_a_removal_names_the_revision_that_leaves(two, api_client):
    answer = api_client("operate").post(
        "/api/v1/models/remove",
        {"name": NAME, "revision": OLD[:12]},
        content_type="application/json",
    )

    assert answer.status_code == 202, answer.json()
    [operation] = two[0].node.operations.all()
    assert operation.params == {"revision": OLD}
    assert registry.removals(two[0].node, "huggingface") == {(NAME, OLD)}


def test_a_removal_of_several_revisions_has_to_say_which(two, api_client):
    program = api_client("operate")
    wish = {"name": NAME}
    answer = program.post(
        "/api/v1/models/remove", wish, content_type="application/json"
    )

    assert (answer.status_code, answer.json()["code"]) == (409, "several_revisions")
    assert answer.json()["revisions"] == [NEW, OLD]
    assert program.delete(f"/api/v1/models/{NAME}").status_code == 409
    named = program.delete(f"/api/v1/models/{NAME}?revision={OLD}")
    assert named.status_code == 202


def test_a_removal_of_the_only_revision_needs_no_other_word():
    only = version(NEW)

    assert registry.only_version(NAME).pk == only.pk


def test_two_digits_that_fit_two_revisions_are_not_enough():
    version("abcdef1" + "0" * 33)
    version("abcdef1" + "1" * 33)

    with pytest.raises(SeveralRevisions) as refusal:
        registry.only_version(NAME, None, "abcdef1")
    assert len(refusal.value.extras["revisions"]) == 2


def test_the_active_revision_stays_and_the_other_may_leave(two):
    activate(two[1])

    with pytest.raises(ModelActive):
        remove.request_remove(two[1], actor=SYSTEM)
    assert remove.request_remove(two[0], actor=SYSTEM).params == {"revision": OLD}


def test_what_lies_in_a_scanned_folder_is_never_removed():
    model = version("", is_foreign=True, path="/shelf/org/model")

    with pytest.raises(ForeignFolder, match="/shelf/org/model") as refusal:
        remove.request_remove(model, actor=SYSTEM)

    assert refusal.value.extras["path"] == "/shelf/org/model"
    assert remove.removal_of(model).blocked_code == "foreign_folder"


def test_one_removal_of_a_name_at_a_time(two):
    first = remove.request_remove(two[0], actor=SYSTEM)
    assert remove.request_remove(two[0], actor=SYSTEM).pk == first.pk

    with pytest.raises(OperationConflict) as refusal:
        remove.request_remove(two[1], actor=SYSTEM)
    assert refusal.value.extras["operation_id"] == str(first.pk)
