"""Our own store on the disk: what counts as a model there, and what leaves it."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from models_app.providers.folder_store import FolderStore
from models_app.providers.stored_models import MARKER, StoredFile
from models_app.reasons import NO_REASON
from tests.threads import in_thread

COMMIT = "a" * 40
OTHER = "b" * 40
NAME = "Qwen/Qwen3-0.6B"
BYTES = b"weights" * 100


def nobody_stops():
    """A check that lets everything go on."""


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "models" / "hf")


def fetched(store, name=NAME, revision=COMMIT, content=BYTES):
    """A model as a finished fetch leaves it."""
    with store.fetching(name, revision, check=nobody_stops) as folder:
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(content)
        files = [
            StoredFile(path="config.json", size_bytes=2, git_sha1="9e26"),
            StoredFile(
                path="model.safetensors", size_bytes=len(content), sha256="ab" * 32
            ),
        ]
        return store.finish(name, revision, digest="d" * 64, files=files)


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_model_lies_under_its_owner_name_and_commit(store):
    folder = fetched(store)

    assert folder == store.root / "Qwen" / f"Qwen3-0.6B@{COMMIT}"
    [model] = store.models()
    assert (model.name, model.revision, model.error) == (NAME, COMMIT, NO_REASON)
    assert model.digest == "d" * 64
    assert model.size_bytes == 2 + len(BYTES)
    assert store.halves() == []


def test_a_name_without_an_owner_lies_under_an_underscore(store):
    assert fetched(store, "gpt2").parent.name == "_"
    assert [model.name for model in store.models()] == ["gpt2"]


def test_revisions_of_one_name_lie_side_by_side_and_leave_one_by_one(store):
    fetched(store)
    fetched(store, revision=OTHER)
    assert {model.revision for model in store.models()} == {COMMIT, OTHER}

    store.remove(NAME, COMMIT)

    assert [model.revision for model in store.models()] == [OTHER]


def test_removing_the_last_one_leaves_no_file_and_no_folder(store, tmp_path):
    fetched(store)

    store.remove(NAME, COMMIT)
    store.remove(NAME, COMMIT)  # a second time is fine

    assert everything_in(tmp_path) == ["models"]


def test_what_is_not_finished_is_no_model(store):
    with store.fetching(NAME, COMMIT, check=nobody_stops) as folder:
        (folder / "model.safetensors").write_bytes(BYTES)

    assert store.models() == []
    [half] = store.halves()
    assert (half.name, half.revision) == (NAME, COMMIT)
    assert half.size_bytes == len(BYTES)


def test_discarding_a_half_model_frees_its_bytes_and_leaves_nothing(store, tmp_path):
    with store.fetching(NAME, COMMIT, check=nobody_stops) as folder:
        (folder / "model.safetensors").write_bytes(BYTES)

    assert store.discard(NAME, COMMIT) == len(BYTES)
    assert store.discard(NAME, COMMIT) == 0
    assert everything_in(tmp_path) == ["models"]


def test_a_removal_that_was_cut_off_leaves_no_model_and_ends_with_the_next(store):
    folder = fetched(store)
    folder.rename(folder.with_name(folder.name + ".gone"))  # killed right after this

    assert store.models() == []
    store.remove(NAME, COMMIT)
    assert not store.root.exists()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda f: (f / "model.safetensors").unlink(), "1 of 2 files are missing"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "another size"),
        (lambda f: (f / MARKER).unlink(), "no proof of its files"),
        (lambda f: (f / MARKER).write_text("{"), "no proof of its files"),
        (lambda f: (f / MARKER).write_text("[]"), "no proof of its files"),
        (
            lambda f: (f / MARKER).write_text(
                json.dumps(
                    {"files": [{"path": 1, "size_bytes": 1}], "digest": "", "v": 1}
                )
            ),
            "no proof of its files",
        ),
    ],
)
def test_a_folder_that_lost_something_says_so_and_what_to_do(store, harm, said):
    harm(fetched(store))

    [model] = store.models()

    assert said in str(model.error)
    assert "Install the model again" in str(model.error)


def test_a_file_that_became_a_link_is_missing(store, tmp_path):
    folder = fetched(store)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(BYTES)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(elsewhere)

    [model] = store.models()

    assert "1 of 2 files are missing, the first is model.safetensors" in str(
        model.error
    )
    store.remove(NAME, COMMIT)
    assert elsewhere.read_bytes() == BYTES


def test_linked_folders_and_strange_names_are_no_models(store, tmp_path):
    folder = fetched(store)
    (store.root / "linked").symlink_to(folder.parent)
    (folder.parent / f"other@{COMMIT}").symlink_to(folder)
    (folder.parent / "Qwen3-0.6B@main").mkdir()
    (folder.parent / f"Qwen3-0.6B@{COMMIT}.gone").mkdir()

    assert [model.name for model in store.models()] == [NAME]


def test_another_letter_case_is_the_same_model(store):
    folder = fetched(store)

    assert store.folder("qwen/qwen3-0.6b", COMMIT) == folder
    store.remove("qwen/qwen3-0.6b", COMMIT)
    assert store.models() == []


def test_a_broken_folder_gives_way_to_the_one_that_was_fetched_again(store):
    (fetched(store) / "model.safetensors").unlink()

    fetched(store)

    [model] = store.models()
    assert not model.error


def test_two_that_fetch_the_same_take_turns(store):
    order, inside, go_on = [], threading.Event(), threading.Event()

    def first():
        with store.fetching(NAME, COMMIT, check=nobody_stops):
            inside.set()
            assert go_on.wait(20)
            order.append("first")

    def second():
        with store.fetching(NAME, COMMIT, check=go_on.set):
            order.append("second")

    one = in_thread(first)
    assert inside.wait(20)
    two = in_thread(second)
    one.join(20)
    two.join(20)
    assert order == ["first", "second"]


def test_the_marker_is_on_the_disk_before_the_folder_has_its_name(store, monkeypatch):
    synced = []
    real = os.fsync

    def note(handle):
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        real(handle)

    monkeypatch.setattr(os, "fsync", note)
    fetched(store)

    assert synced == [MARKER, f"Qwen3-0.6B@{COMMIT}.partial", "Qwen"]
