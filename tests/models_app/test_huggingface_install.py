"""Installing from the hub: pinned, resumed, proved, registered, and what goes wrong."""

from __future__ import annotations

import pytest

from models_app import tasks
from models_app.models import InstalledModel, Operation
from models_app.services import (
    discovery,
    install_check,
    model_lists,
    operations,
    partials,
    remove,
)
from models_app.services.nodes import this_node
from models_app.services.storage import storage_of
from tests.factories import InstalledModelFactory
from tests.fakes.tiny_model import tiny_files
from tests.fakes.waiting import wait_until
from tests.models_app.hub_installs import (
    SHARDED,
    TINY,
    ask,
    carry_out,
    installed,
    left_on_disk,
    repo_of,
)
from tests.models_app.installs import begin, lines_of
from venom_site.lib.access import SYSTEM
from venom_site.lib.errors import DoesNotFit, InvalidBody, OperationConflict

pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.hub_fixtures")
pytestmark = pytest.mark.django_db(transaction=True)

INSTALL = "/api/v1/models/install"
PARTIALS = "/api/v1/models/partials"
SLOW = 3_000_000  # bytes a second: four seconds for the sharded one


def fresh(operation) -> Operation:
    return operations.get_operation(operation.pk)


def halfway(operation, least=1_000_000) -> None:
    wait_until(lambda: (fresh(operation).bytes_done or 0) > least, seconds=30)


@pytest.fixture
def slow(shop):
    shop.state.bytes_per_second = SLOW
    yield shop
    shop.state.bytes_per_second = 0


@pytest.fixture
def half(slow):
    """A cancelled install of the sharded one that has left bytes."""
    operation = ask(SHARDED)
    worker = begin(operation)
    halfway(operation)
    operations.cancel_operation(fresh(operation), actor=SYSTEM)
    worker.join(20)
    slow.state.bytes_per_second = 0
    assert fresh(operation).status == "cancelled"
    return fresh(operation)


def commit_of(shop, name):
    return repo_of(shop, name).commit


def test_an_install_ends_with_a_model_that_was_proved_and_described(shop):
    operation = installed(TINY)

    commit = commit_of(shop, TINY)
    model = InstalledModel.objects.get()
    assert (model.name, model.revision, model.status) == (TINY, commit, "installed")
    assert model.digest == operation.checkpoint["digest"]
    assert operation.params["revision"] == operation.checkpoint["revision"] == commit
    assert operation.bytes_done == operation.bytes_total == model.size_bytes
    assert model.path == str(shop.store / "practice" / f"tiny-llama@{commit}")
    assert model.figures["layers"] == 2
    assert model.context_length == 512
    assert model.capabilities.supports_system_role is True
    assert model.capabilities.sources["supports_system_role"] == "template"
    assert model.source == shop.url.removeprefix("http://")
    assert [step.state for step in operation.steps] == ["done"] * 5
    assert any(f"files of commit {commit[:12]}" in line for line in lines_of(operation))


def test_what_was_asked_for_is_pinned_when_it_is_asked(shop):
    operation = ask(TINY, revision="main")
    first = commit_of(shop, TINY)
    repo_of(shop, TINY).publish({"config.json": b'{"model_type": "llama"}'})

    carry_out(operation)

    assert InstalledModel.objects.get().revision == first


def test_a_hub_that_is_away_is_asked_again_by_the_worker(shop):
    shop.stop()
    operation = ask(TINY, revision="main")
    assert operation.params["revision"] == "main"
    assert operation.params["size_bytes"] is None
    shop.start()

    carry_out(operation)

    assert operation.error == ""
    assert operation.checkpoint["revision"] == commit_of(shop, TINY)
    assert InstalledModel.objects.get().revision == commit_of(shop, TINY)


def test_two_revisions_lie_side_by_side_and_leave_one_by_one(shop):
    installed(TINY)
    old = commit_of(shop, TINY)
    repo_of(shop, TINY).publish({"generation_config.json": b"{}"})
    new = commit_of(shop, TINY)
    installed(TINY)
    assert {m.revision for m in InstalledModel.objects.all()} == {old, new}

    model = InstalledModel.objects.get(revision=old)
    removal = remove.request_remove(model, actor=SYSTEM)
    tasks.run_remove(str(removal.pk))

    assert fresh(removal).status == "completed"
    assert InstalledModel.objects.get().revision == new
    assert not any(old in path for path in left_on_disk(shop))
    installed(TINY, revision=old)  # and back again
    assert InstalledModel.objects.count() == 2


def test_an_install_of_the_same_commit_fetches_nothing(shop):
    installed(TINY)
    asked = len(shop.state.desk.asked)

    operation = ask(TINY)
    assert operation.params["reserved_bytes"] == 0
    carry_out(operation)

    assert operation.status == "completed"
    assert len(shop.state.desk.asked) == asked


def test_the_same_wish_joins_and_another_revision_waits_its_turn(shop):
    first = ask(TINY)
    repo_of(shop, TINY).publish({"generation_config.json": b"{}"})

    assert ask(TINY).pk == first.pk
    assert ask(TINY, revision=first.params["revision"]).pk == first.pk
    with pytest.raises(OperationConflict) as refusal:
        ask(TINY, revision=commit_of(shop, TINY))
    assert refusal.value.extras["operation_id"] == str(first.pk)


def test_a_name_in_other_letters_is_kept_as_the_hub_writes_it(shop, monkeypatch):
    found = shop.state.shelf.find
    monkeypatch.setattr(shop.state.shelf, "find", lambda name: found(name.lower()))

    assert ask("Practice/Tiny-LLAMA").model_name == TINY


@pytest.mark.parametrize("revision", ["../main", "a b", "x" * 101, "-x", "a..b"])
def test_a_revision_that_cannot_be_is_refused(shop, revision):
    with pytest.raises(InvalidBody, match="revision"):
        ask(TINY, revision=revision)


# Refusals of the source


def test_a_refusal_of_the_hub_is_one_of_the_request(shop, api_client):
    program = api_client("operate")

    def answer(name, **more):
        body = {"provider": "hf", "name": name, **more}
        return program.post(INSTALL, body, content_type="application/json")

    gated = answer("practice/tiny-gated")
    assert (gated.status_code, gated.json()["code"]) == (409, "gated_model")
    assert gated.json()["missing"] == "token"
    missing = answer("practice/nothing-there")
    assert (missing.status_code, missing.json()["code"]) == (404, "model_not_found")
    nowhere = answer(TINY, revision="nope")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "model_not_found")
    empty = answer("practice/no-weights")
    assert (empty.status_code, empty.json()["code"]) == (409, "no_weights")
    named = answer(f"{TINY}@main")
    assert named.status_code == 422
    assert Operation.objects.count() == 0


def test_the_light_profile_installs_nothing_from_the_hub(shop, environment, api_client):
    environment(VENOM_RUNTIME_PROFILE="light")

    body = {"provider": "huggingface", "name": TINY}
    answer = api_client("operate").post(INSTALL, body, content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (403, "outside_profile")


def test_a_repository_that_vanished_since_is_a_named_failure(shop):
    operation = ask(TINY)
    shop.state.shelf.discard(TINY)

    carry_out(operation)

    assert (operation.status, operation.error_code) == ("failed", "model_not_found")
    assert left_on_disk(shop) == []


def test_wrong_bytes_end_in_a_named_failure_and_no_model(shop):
    shop.state.desk.faults.plan(f"{TINY}/model.safetensors", "wrong:100", times=0)

    operation = carry_out(ask(TINY))

    assert (operation.status, operation.error_code) == ("failed", "digest_mismatch")
    assert "Retry" in operation.error
    assert InstalledModel.objects.count() == 0


def test_what_the_check_tells_is_what_the_install_would_say(shop):
    gated = install_check.check_install("huggingface", "practice/tiny-gated")
    good = install_check.check_install("huggingface", TINY)

    [finding] = [each for each in gated.findings if each.name == "source"]
    assert (finding.level, gated.can_start) == ("bad", False)
    assert "Add a token" in finding.remedy
    assert (good.can_start, good.revision) == (True, commit_of(shop, TINY))


# Stopping and going on


def test_cancelling_ends_within_two_seconds_and_keeps_the_bytes(slow, monkeypatch):
    operation = ask(SHARDED)
    worker = begin(operation)
    halfway(operation)

    operations.cancel_operation(fresh(operation), actor=SYSTEM)

    wait_until(lambda: fresh(operation).status == "cancelled", seconds=10)
    worker.join(20)
    [kept] = partials.partial_payloads()
    assert kept["operation_id"] == str(operation.pk)
    assert kept["bytes_done"] > 500_000
    assert InstalledModel.objects.count() == 0


def test_a_paused_install_goes_on_where_it_was(slow):
    operation = ask(SHARDED)
    worker = begin(operation)
    halfway(operation)
    operations.pause_operation(fresh(operation), actor=SYSTEM)
    worker.join(20)
    at = fresh(operation).bytes_done
    slow.state.bytes_per_second = 0

    operations.resume_operation(fresh(operation), actor=SYSTEM)
    carry_out(operation)

    assert (operation.status, operation.error) == ("completed", "")
    sent = sum(slow.state.desk.sent_bytes.values())
    assert sent < operation.bytes_total + 2_000_000
    assert at > 0


def test_a_retry_fetches_the_commit_that_was_begun(half, shop):
    repo_of(shop, SHARDED).publish({"generation_config.json": b"{}"})

    operation = operations.retry_operation(half, actor=SYSTEM)
    carry_out(operation)

    assert (operation.status, operation.error) == ("completed", "")
    assert InstalledModel.objects.get().revision == half.params["revision"]


def test_discarding_deletes_the_bytes_from_the_disk(half, shop, api_client):
    program = api_client("operate")
    [told] = program.get(PARTIALS).json()["partials"]
    assert told["bytes_done"] > 500_000

    answer = program.delete(f"{PARTIALS}?operation_id={half.pk}")

    assert answer.json()["discarded"] == [str(half.pk)]
    assert left_on_disk(shop) == []
    assert program.get(PARTIALS).json()["partials"] == []
    assert any("on the disk were freed" in line for line in lines_of(half))


def test_half_models_of_no_operation_are_listed_and_discarded_too(
    half, shop, api_client
):
    Operation.objects.all().delete()
    program = api_client("operate")

    [told] = program.get(PARTIALS).json()["partials"]
    assert (told["operation_id"], told["model_name"]) == (None, SHARDED)
    assert storage_of(this_node()).used_bytes == told["bytes_done"]

    assert program.delete(PARTIALS).json()["discarded"] == []
    assert left_on_disk(shop) == []


def test_bytes_that_somebody_goes_on_with_are_not_discarded(half, shop):
    again = ask(SHARDED)

    partials.discard_install(half, actor=SYSTEM)

    assert left_on_disk(shop) != []
    carry_out(again)
    assert again.status == "completed"


# Room


def test_a_half_model_counts_as_used_until_somebody_goes_on_with_it(half):
    kept = storage_of(this_node()).used_bytes
    assert kept > 500_000

    operation = ask(SHARDED)

    storage = storage_of(this_node())
    assert storage.used_bytes == 0
    assert storage.reserved_bytes == operation.params["reserved_bytes"]


def test_what_does_not_fit_is_refused_with_what_could_leave(shop, environment):
    old = InstalledModelFactory(name="old:1b", size_bytes=2_000_000)
    InstalledModelFactory(name="pinned:1b", size_bytes=7_000_000, pinned=True)
    environment(MODELS_MAX_DISK_GB=0.0215)

    with pytest.raises(DoesNotFit) as refusal:
        ask(SHARDED)

    assert [each["name"] for each in refusal.value.extras["proposal"]] == [old.name]
    check = install_check.check_install("hf", SHARDED)
    assert (check.proposal, check.proposal_bytes) == ([old], 2_000_000)


def test_a_size_that_was_not_known_is_checked_before_the_first_byte(shop, environment):
    environment(MODELS_MAX_DISK_GB=0.004, MODELS_DEFAULT_SIZE_GB=0.001)
    shop.stop()
    operation = ask(SHARDED)
    shop.start()

    carry_out(operation)

    assert (operation.status, operation.error_code) == ("failed", "does_not_fit")
    assert left_on_disk(shop) == []


# Discovery


def test_discovery_finds_what_lies_in_the_store_and_on_the_shelf(shop):
    installed(TINY)
    InstalledModel.objects.all().delete()
    folder = shop.shelf / "others" / "model"
    folder.mkdir(parents=True)
    for path, content in tiny_files().items():
        (folder / path).write_bytes(content)

    discovery.discover()

    ours = InstalledModel.objects.get(name=TINY)
    theirs = InstalledModel.objects.get(name="others/model")
    assert (ours.is_foreign, ours.revision) == (False, commit_of(shop, TINY))
    assert (theirs.is_foreign, theirs.path) == (True, str(folder))
    assert theirs.capabilities.supports_chat is True
    assert storage_of(this_node()).used_bytes == ours.size_bytes


def test_discovery_follows_what_breaks_heals_and_goes(shop):
    installed(TINY)
    commit = commit_of(shop, TINY)
    folder = shop.store / "practice" / f"tiny-llama@{commit}"
    weights = (folder / "model.safetensors").read_bytes()

    (folder / "model.safetensors").unlink()
    discovery.discover()
    model = InstalledModel.objects.get()
    assert (model.status, "missing" in model.error) == ("broken", True)

    (folder / "model.safetensors").write_bytes(weights)
    discovery.discover()
    model.refresh_from_db()
    assert (model.status, model.error) == ("installed", "")

    folder.rename(folder.with_name("elsewhere"))
    discovery.discover()
    assert InstalledModel.objects.count() == 0


def test_a_second_look_writes_nothing(shop):
    installed(TINY)
    before = InstalledModel.objects.get()

    discovery.discover()

    after = InstalledModel.objects.get()
    assert after.seen_at > before.seen_at
    assert after.installed_at == before.installed_at
    assert after.capabilities.updated_at == before.capabilities.updated_at


def test_a_broken_model_heals_by_installing_it_again(shop):
    installed(TINY)
    folder = shop.store / "practice" / f"tiny-llama@{commit_of(shop, TINY)}"
    (folder / "config.json").unlink()
    discovery.discover()
    assert model_lists.all_rows()[0].status == "broken"

    installed(TINY)

    assert InstalledModel.objects.get().status == "installed"
