"""Hugging Face as a provider, against the practice hub."""

from __future__ import annotations

import hashlib
import json

import pytest

from models_app.providers import registry
from models_app.providers.base import (
    AccessDenied,
    DigestMismatch,
    GatedModel,
    ModelNotFound,
    NoWeights,
    ProviderAway,
    ProviderFailed,
    SourceBusy,
    StoreReadOnly,
    UnsafeFile,
)
from models_app.reasons import NO_REASON
from tests.fakes.huggingface_state import PRACTICE_TOKEN
from tests.fakes.tiny_model import tiny_files
from tests.models_app.hub_installs import SHARDED, TINY, left_on_disk, repo_of
from venom_site.lib.errors import ForeignFolder

pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.hub_fixtures")
pytestmark = pytest.mark.django_db


@pytest.fixture
def hub(hub_provider):
    return hub_provider


def nobody_stops():
    """A check that lets everything go on."""


def fetch(hub, name, revision=""):
    news = []
    hub.fetch(name, revision, tell=news.append, check=nobody_stops)
    return news


# Names


@pytest.mark.parametrize("name", ["org/name", "gpt2", "a.b/c_d-e.1", "Org/NAME"])
def test_a_name_of_the_hub_stays_as_it_is_written(hub, name):
    assert hub.canonical_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["a/b/c", "a--b/c", "-a/b", "a/b.", "a..b/c", "x" * 97, "org/" + "y" * 97, "ü/b"],
)
def test_a_name_the_hub_cannot_have_is_refused_with_what_is_wanted(hub, name):
    with pytest.raises(ValueError, match="owner/name"):
        hub.canonical_name(name)


@pytest.mark.parametrize("name", ["org/name@main", "org/name:latest"])
def test_a_revision_does_not_belong_into_the_name(hub, name):
    with pytest.raises(ValueError, match="chosen by revision"):
        hub.canonical_name(name)


# Promises


def test_what_the_hub_promises_is_pinned_to_a_commit_and_counted(hub, shop):
    promised = hub.measure(TINY)

    repo = repo_of(shop, TINY)
    assert promised.revision == repo.commit
    sizes = dict(promised.parts)
    assert sizes["config.json"] == len(repo.files["config.json"].content)
    assert promised.size_bytes == sum(sizes.values())
    assert promised.name == TINY
    assert len(promised.digest) == 64


def test_a_digest_tells_files_and_not_their_order(hub, shop):
    first = hub.measure(TINY)
    assert hub.measure(TINY, first.revision) == first

    repo_of(shop, TINY).publish({"config.json": b'{"changed": true}'})

    assert hub.measure(TINY).digest != first.digest
    assert hub.measure(TINY, first.revision).digest == first.digest


@pytest.mark.parametrize(
    ("name", "revision", "kind", "step"),
    [
        ("practice/nothing", "", ModelNotFound, "add a token"),
        ("practice/tiny-private", "", ModelNotFound, "add a token"),
        (TINY, "no-such-branch", ModelNotFound, "lists its branches"),
        ("practice/tiny-gated", "", GatedModel, "Add a token"),
        ("practice/tiny-disabled", "", AccessDenied, "Choose another"),
        ("practice/no-weights", "", NoWeights, "weights"),
    ],
)
def test_a_refusal_of_the_hub_names_the_next_step(hub, name, revision, kind, step):
    with pytest.raises(kind, match=step):
        hub.measure(name, revision)


def test_with_a_token_a_gated_model_lacks_the_licence_until_it_is_accepted(
    shop, environment
):
    environment(HF_TOKEN=PRACTICE_TOKEN)
    hub = registry.provider_for("huggingface")
    with pytest.raises(GatedModel, match="Accept the licence at http") as refusal:
        hub.measure("practice/tiny-gated")
    assert refusal.value.extras["missing"] == "licence"
    assert refusal.value.http_status == 409

    shop.state.accepted.add("practice/tiny-gated")

    assert hub.measure("practice/tiny-gated").size_bytes > 0
    assert hub.measure("practice/tiny-private").size_bytes > 0


def test_a_model_that_moved_says_where(hub, shop):
    shop.state.shelf.move(TINY, "practice/tiny-llama-2")

    with pytest.raises(ModelNotFound, match="practice/tiny-llama-2"):
        hub.measure(TINY)


def test_a_hub_that_is_away_or_asks_to_wait_may_be_asked_again(hub, shop):
    shop.state.api_quota = 0
    with pytest.raises(SourceBusy) as busy:
        hub.measure(TINY)
    assert busy.value.wait_seconds > 0

    shop.stop()
    with pytest.raises(ProviderAway):
        hub.measure(TINY)


# Fetching


def test_a_fetched_model_lies_whole_in_its_folder_with_a_marker(hub, shop):
    news = fetch(hub, TINY)

    repo = repo_of(shop, TINY)
    folder = shop.store / "practice" / f"tiny-llama@{repo.commit}"
    weights = (folder / "model.safetensors").read_bytes()
    assert weights == repo.files["model.safetensors"].content
    marker = json.loads((folder / ".venom.json").read_text())
    assert (marker["name"], marker["revision"]) == (TINY, repo.commit)
    kept = {file["path"]: file for file in marker["files"]}
    assert kept["model.safetensors"] == {
        "path": "model.safetensors",
        "size_bytes": len(weights),
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    assert "git_sha1" in kept["config.json"]
    on_disk = {p.name for p in folder.rglob("*") if p.is_file()}
    assert on_disk == {path.rpartition("/")[2] for path in kept} | {".venom.json"}
    total = sum(file["size_bytes"] for file in marker["files"])
    told = [each for each in news if each.phase == "downloading" and not each.words]
    assert (told[-1].done, told[-1].total) == (total, total)
    assert news[-1].phase == "verifying"


def test_a_fetched_model_is_listed_as_it_was_promised(hub, shop):
    fetch(hub, SHARDED)

    [model] = hub.list_installed()
    promised = hub.measure(SHARDED)
    assert (model.name, model.revision) == (SHARDED, promised.revision)
    assert model.digest == promised.digest
    assert model.size_bytes == promised.size_bytes
    assert model.format == "safetensors"
    assert (model.is_foreign, model.error) == (False, NO_REASON)
    assert hub.list_partials() == []


def test_what_lies_there_already_is_not_fetched_again(hub, shop):
    fetch(hub, TINY)
    before = len(shop.state.desk.asked)

    fetch(hub, TINY)

    assert len(shop.state.desk.asked) == before


def test_only_the_missing_file_of_a_broken_model_comes_again(hub, shop):
    fetch(hub, SHARDED)
    [model] = hub.list_installed()
    lost = shop.store / "practice" / f"sharded-12m@{model.revision}"
    (lost / "config.json").unlink()
    assert "missing" in str(hub.list_installed()[0].error)
    before = len(shop.state.desk.asked)

    fetch(hub, SHARDED)

    assert not hub.list_installed()[0].error
    asked = [each.path for each in shop.state.desk.asked[before:]]
    assert asked
    assert all("config.json" in path for path in asked)


def test_a_fetch_that_was_stopped_keeps_its_bytes_and_goes_on(hub, shop):
    shop.state.bytes_per_second = 2_000_000
    seen = []

    class Stop(Exception):
        pass

    def stop_half_way():
        if seen and seen[-1].done > 2_000_000:
            raise Stop

    with pytest.raises(Stop):
        hub.fetch(SHARDED, "", tell=seen.append, check=stop_half_way)

    [half] = hub.list_partials()
    assert (half.name, half.size_bytes > 1_000_000) == (SHARDED, True)
    assert hub.list_installed() == []
    shop.state.bytes_per_second = 0
    sent = sum(shop.state.desk.sent_bytes.values())
    news = fetch(hub, SHARDED)
    first = next(each for each in news if each.phase == "downloading")
    assert first.done >= half.size_bytes
    again = sum(shop.state.desk.sent_bytes.values()) - sent
    assert again < first.total - half.size_bytes + 1_000_000
    assert hub.list_partials() == []


def test_bytes_that_stay_wrong_are_a_named_failure(hub, shop):
    shop.state.desk.faults.plan(f"{TINY}/model.safetensors", "wrong:100", times=0)

    with pytest.raises(DigestMismatch):
        fetch(hub, TINY)
    assert hub.list_installed() == []


def test_bytes_that_were_wrong_once_are_fetched_again(hub, shop):
    shop.state.desk.faults.plan(f"{TINY}/model.safetensors", "wrong:100")

    fetch(hub, TINY)

    assert not hub.list_installed()[0].error


def test_discarding_frees_the_bytes_and_the_folders(hub, shop):
    shop.state.desk.faults.plan(f"{TINY}/model.safetensors", "wrong:100", times=0)
    with pytest.raises(DigestMismatch):
        fetch(hub, TINY)

    for half in hub.list_partials():
        hub.discard(half.name, half.revision)

    assert left_on_disk(shop) == []


# What strangers put into a repository


@pytest.mark.parametrize(
    "path", ["../escape.json", "a/../../escape.json", "/etc/escape.json"]
)
def test_a_path_that_leaves_the_folder_is_refused_before_a_byte_is_written(
    hub, shop, tmp_path, path
):
    shop.state.shelf.put("practice/hostile", {**tiny_files(), path: b"{}"})

    with pytest.raises(UnsafeFile):
        fetch(hub, "practice/hostile")

    assert not list(tmp_path.rglob("escape.json"))
    assert left_on_disk(shop) == []


def test_a_repository_may_not_bring_a_marker_of_its_own(hub, shop):
    shop.state.shelf.put("practice/marked", {**tiny_files(), ".venom.json": b"{}"})

    fetch(hub, "practice/marked")

    [model] = hub.list_installed()
    assert not model.error
    assert ".venom.json" not in [file["path"] for file in model.files]


def test_an_empty_file_is_a_file(hub, shop):
    shop.state.shelf.put("practice/empty", {**tiny_files(), "merges.txt": b""})

    fetch(hub, "practice/empty")

    assert not hub.list_installed()[0].error


@pytest.mark.slow
def test_three_thousand_small_files_are_no_trouble(hub, shop):
    files = {f"extra_{n}.json": b'{"n": %d}' % n for n in range(3_000)}
    shop.state.shelf.put("practice/three-thousand", {**tiny_files(), **files})

    fetch(hub, "practice/three-thousand")

    [model] = hub.list_installed()
    assert (model.error, len(model.files) > 3_000) == (NO_REASON, True)


def test_a_repository_that_vanishes_in_the_middle_is_named(hub, shop):
    def vanish(news):
        if news.phase == "downloading":
            shop.state.shelf.discard(SHARDED)

    with pytest.raises((ModelNotFound, AccessDenied)):
        hub.fetch(SHARDED, "", tell=vanish, check=nobody_stops)
    assert hub.list_installed() == []


# Describing


def test_a_model_is_described_from_its_own_files_without_the_hub(hub, shop):
    fetch(hub, TINY)
    [model] = hub.list_installed()
    shop.stop()

    said = hub.describe(TINY, model.revision)

    assert said.supports_system_role is True
    assert said.license == "mit"
    assert said.figures.layers == 2
    assert said.figures.context_length == 512


# Folders of others


def put_on(shelf, name):
    folder = shelf / name
    folder.mkdir(parents=True)
    for path, content in tiny_files().items():
        (folder / path).write_bytes(content)
    return folder


def test_what_others_put_there_is_listed_and_never_touched(hub, shop):
    folder = put_on(shop.shelf, "org/model")

    [model] = hub.list_installed()
    assert (model.name, model.revision, model.is_foreign) == ("org/model", "", True)
    assert (model.digest, model.path) == ("", str(folder))
    assert hub.describe("org/model").supports_chat is True
    with pytest.raises(ForeignFolder, match="MODELS_SCAN_DIRS"):
        hub.remove("org/model", check=nobody_stops)
    assert (folder / "config.json").exists()


def test_ours_comes_before_theirs_of_the_same_name_and_commit(hub, shop):
    fetch(hub, TINY)
    commit = repo_of(shop, TINY).commit
    put_on(shop.shelf, f"{TINY}@{commit}")

    [model] = hub.list_installed()

    assert model.is_foreign is False


def test_removing_leaves_nothing_on_the_disk(hub, shop):
    fetch(hub, TINY)
    [model] = hub.list_installed()

    hub.remove(TINY, model.revision, check=nobody_stops)
    hub.remove(TINY, model.revision, check=nobody_stops)

    assert hub.list_installed() == []
    assert not shop.store.exists()


# Disks


def test_a_store_that_cannot_be_written_is_named(shop, environment, tmp_path):
    (tmp_path / "no-folder").write_text("a file stands where the store should be")
    environment(MODELS_CACHE_DIR=tmp_path / "no-folder")
    hub = registry.provider_for("huggingface")

    with pytest.raises(StoreReadOnly, match="no-folder"):
        fetch(hub, TINY)


def test_a_store_that_cannot_be_read_is_no_empty_store(shop, environment, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "hf").write_text("a file")
    environment(MODELS_CACHE_DIR=tmp_path / "broken")

    with pytest.raises(ProviderFailed, match="cannot be read"):
        registry.provider_for("huggingface").list_installed()


def test_the_folders_to_be_scanned_are_told_in_full(shop, environment, monkeypatch):
    put_on(shop.shelf, "model")
    monkeypatch.chdir(shop.shelf.parent)
    environment(MODELS_SCAN_DIRS=f" ./{shop.shelf.name} ::missing")

    [model] = registry.provider_for("huggingface").list_installed()

    assert model.path == str(shop.shelf / "model")
