"""Folders of others: what is found there, and that nothing is written to them."""

from __future__ import annotations

import json

import pytest

from models_app.providers.scan_folders import foreign_models

COMMIT = "c" * 40


@pytest.fixture
def shelf(tmp_path):
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


def put(folder, *, weights=b"weights", **files):
    """A folder with what vLLM needs to load a model."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def found(shelf, but=None):
    return foreign_models([shelf], but=but or shelf.parent / "ours")


def names(shelf):
    return [model.name for model in found(shelf)]


def test_folders_are_found_by_name_and_by_owner_and_name(shelf):
    put(shelf / "phi3")
    put(shelf / "google" / "gemma-3-4b-it")
    put(shelf / "google" / f"gemma-3-1b-it@{COMMIT}")

    models = found(shelf)

    assert [(m.name, m.revision) for m in models] == [
        ("google/gemma-3-1b-it", COMMIT),
        ("google/gemma-3-4b-it", ""),
        ("phi3", ""),
    ]
    assert models[2].files == (("config.json", 2), ("model.safetensors", 7))
    assert models[2].size_bytes == 9


def test_the_cache_of_the_hubs_own_tools_is_found_with_its_commits(shelf):
    blobs = shelf / "models--org--name" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "aa").write_bytes(b"{}")
    (blobs / "bb").write_bytes(b"weights")
    snapshot = shelf / "models--org--name" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").symlink_to("../../blobs/aa")
    (snapshot / "model.safetensors").symlink_to("../../blobs/bb")

    [model] = found(shelf)

    assert (model.name, model.revision, model.size_bytes) == ("org/name", COMMIT, 9)


def test_links_that_leave_the_folder_are_not_there(shelf, tmp_path):
    outside = put(tmp_path / "outside")
    (shelf / "whole").symlink_to(outside)
    part = shelf / "part"
    part.mkdir()
    (part / "config.json").write_text("{}")
    (part / "model.safetensors").symlink_to(outside / "model.safetensors")
    (shelf / "circle").symlink_to(shelf / "circle")

    assert names(shelf) == []


@pytest.mark.parametrize("name", ["with space", "a:b", "ünï", ".hidden"])
def test_a_folder_that_cannot_be_a_name_is_passed_over(shelf, name):
    put(shelf / name)

    assert names(shelf) == []


def test_what_has_no_weights_or_no_config_is_no_model(shelf):
    put(shelf / "empty", weights=b"")
    put(shelf / "bare")
    (shelf / "bare" / "config.json").unlink()
    (shelf / "notes.txt").write_text("not a folder")

    assert names(shelf) == []


def test_missing_parts_are_named(shelf):
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    put(shelf / "phi3", **{"model.safetensors.index.json": json.dumps(index)})
    put(shelf / "odd", **{"model.safetensors.index.json": "[]"})

    errors = {model.name: str(model.error) for model in found(shelf)}

    assert errors["phi3"].startswith("1 of 2 parts of its weights are missing")
    assert "model-2.safetensors" in errors["phi3"]
    assert "cannot be read" in errors["odd"]


def test_our_own_store_is_not_found_a_second_time(shelf):
    put(shelf / "ours" / f"name@{COMMIT}")

    assert foreign_models([shelf], but=shelf / "ours") == []


def test_a_folder_that_is_not_there_is_no_error(tmp_path):
    assert foreign_models([tmp_path / "missing"], but=tmp_path) == []
