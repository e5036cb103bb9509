"""Asking for an install: what is refused before anything is written, and why."""

from __future__ import annotations

import pytest
from django.utils import timezone

from models_app.models import InstalledModel, Operation
from models_app.services import install
from models_app.services.install_check import check_install
from tests.factories import InstalledModelFactory, NodeFactory, OperationFactory
from tests.fakes.ollama_models import PracticeModel
from tests.models_app.installs import ask
from tests.threads import at_once
from venom_site.lib import errors
from venom_site.lib.units import GB

pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.ollama_fixtures")
pytestmark = pytest.mark.django_db

QWEN_BYTES = 522_653_767


def levels(check):
    return {finding.name: finding.level for finding in check.findings}


def test_a_wish_becomes_one_operation_with_its_size(ollama, actor):
    operation = ask("Qwen3:0.6b", activate="now")

    assert operation.model_name == "qwen3:0.6b"
    assert (operation.provider, operation.runtime) == ("ollama", "ollama")
    assert operation.target_key == "test-node|model|ollama/qwen3:0.6b"
    assert operation.queue == "node.test-node"
    assert operation.params == {
        "activate": "now",
        "size_bytes": QWEN_BYTES,
        "reserved_bytes": QWEN_BYTES,
    }


@pytest.mark.parametrize(
    "name",
    ["", "..", "a/../b", "two words", "модель", "a" * 300, "a:b:c", "/etc", "a//b"],
)
def test_a_name_that_cannot_exist_is_422_before_anybody_is_asked(
    ollama, practice_registry, name
):
    with pytest.raises(errors.InvalidBody) as refused:
        ask(name)

    assert refused.value.extras["errors"][0]["loc"] == "body.name"
    assert not practice_registry.state.requests
    assert not Operation.objects.exists()


def test_a_provider_nobody_knows_is_422(ollama, actor):
    with pytest.raises(errors.InvalidBody, match="hf"):
        install.request_install("dockerhub", "qwen3:0.6b", actor=actor)


@pytest.mark.parametrize("provider", ["hf", "huggingface"])
def test_another_profiles_provider_is_403_and_names_that_profile(
    ollama, actor, provider
):
    with pytest.raises(errors.OutsideProfile, match="full"):
        install.request_install(provider, "org/model", actor=actor)


def test_without_local_runtimes_nothing_is_installed(ollama, environment):
    environment(VENOM_RUNTIME_PROFILE="llm_off")

    with pytest.raises(errors.OutsideProfile, match="light"):
        ask("qwen3:0.6b")


def test_a_runtime_that_cannot_run_it_is_409(ollama):
    with pytest.raises(errors.IncompatibleRuntime, match="ollama"):
        ask("qwen3:0.6b", runtime="vllm")
    assert ask("qwen3:0.6b", runtime="ollama").runtime == "ollama"


@pytest.mark.parametrize("options", [{"activate": "idle"}, {"revision": "abc"}])
def test_what_is_not_built_yet_is_422_and_says_so(ollama, options):
    with pytest.raises(errors.InvalidBody) as refused:
        ask("qwen3:0.6b", **options)

    assert refused.value.extras["errors"][0]["loc"] == f"body.{next(iter(options))}"


def test_cloud_models_are_refused_where_everything_stays_here(ollama, environment):
    environment(OLLAMA_NO_CLOUD=True)

    with pytest.raises(install.PolicyLocalOnly) as refused:
        ask("gpt-oss:20b-cloud")

    assert (refused.value.http_status, refused.value.code) == (403, "POLICY_LOCAL_ONLY")


def test_cloud_models_are_taken_where_nobody_forbids_it(ollama):
    assert ask("gpt-oss:20b-cloud").params["size_bytes"] < 10_000


def test_what_cannot_run_here_is_refused_with_the_reason(ollama):
    with pytest.raises(errors.Conflict, match="Apple") as refused:
        ask("gemma3:4b-mlx")

    assert refused.value.code == "unsupported_model"


def test_the_quota_counts_what_is_installed_and_what_is_reserved(ollama, environment):
    held = InstalledModelFactory(size_bytes=GB // 2)
    environment(MODELS_MAX_DISK_GB=1.5)
    first = ask("qwen3:0.6b")

    with pytest.raises(errors.DoesNotFit) as refused:
        ask("gemma3:1b")

    proposal = refused.value.extras.pop("proposal")
    assert [each["name"] for each in proposal] == [held.name]
    assert refused.value.extras == {
        "limit": "quota",
        "needed_bytes": 815_319_791,
        "free_bytes": GB - QWEN_BYTES,
    }
    assert Operation.objects.get() == first


def test_a_disk_that_is_too_small_is_named(ollama, environment):
    environment(MODELS_MAX_DISK_GB=10**9, MODELS_CONFIRM_ABOVE_GB=10**9)
    huge = PracticeModel(name="huge:1", size_bytes=10**13)
    ollama.state.library.add(huge)

    with pytest.raises(errors.DoesNotFit, match="disk") as refused:
        ask("huge:1")

    assert refused.value.extras["limit"] == "disk"


def test_a_large_one_wants_a_word_and_takes_it(ollama, environment):
    environment(MODELS_CONFIRM_ABOVE_GB=0.5)

    with pytest.raises(errors.ConfirmRequired) as refused:
        ask("qwen3:0.6b")

    assert refused.value.extras["size_bytes"] == QWEN_BYTES
    assert ask("qwen3:0.6b", confirm_large=True).status == "pending"


def test_a_source_that_is_away_costs_only_exactness(ollama, practice_registry):
    practice_registry.stop()

    operation = ask("qwen3:0.6b")

    assert operation.params["size_bytes"] is None
    assert operation.params["reserved_bytes"] == 4 * GB


def test_a_name_the_registry_does_not_know_is_tried_all_the_same(ollama):
    operation = ask("nowhere-to-be-found:1b")

    assert operation.params["size_bytes"] is None


def test_the_same_wish_joins_and_asks_nobody_again(ollama, practice_registry):
    first = ask("qwen3:0.6b")
    asked = practice_registry.state.requests.total()

    assert ask("QWEN3:0.6b", confirm_large=True) == first
    assert practice_registry.state.requests.total() == asked


def test_who_joins_and_wants_it_active_is_heard(ollama):
    first = ask("qwen3:0.6b")

    joined = ask("qwen3:0.6b", activate="now")
    again = ask("qwen3:0.6b", activate="no")

    assert joined == again == first
    first.refresh_from_db()
    assert first.params["activate"] == "now"


def test_an_open_removal_of_it_is_in_the_way(ollama):
    removal = OperationFactory(
        operation_type="remove", target_key="test-node|model|ollama/qwen3:0.6b"
    )

    with pytest.raises(errors.OperationConflict) as refused:
        ask("qwen3:0.6b")

    assert refused.value.extras["operation_id"] == str(removal.pk)


def test_what_is_installed_as_it_is_needs_no_room(ollama, environment):
    digest = ask("qwen3:0.6b") and check_install("ollama", "qwen3:0.6b").digest
    Operation.objects.all().delete()
    model = InstalledModelFactory(
        name="qwen3:0.6b", digest=digest, size_bytes=QWEN_BYTES
    )
    environment(MODELS_MAX_DISK_GB=0.6)

    assert ask("qwen3:0.6b").params["reserved_bytes"] == 0
    Operation.objects.all().delete()
    InstalledModel.objects.filter(pk=model.pk).update(digest="an older one")
    with pytest.raises(errors.DoesNotFit):
        ask("qwen3:0.6b")


def test_a_later_start_is_kept(ollama):
    later = timezone.now() + timezone.timedelta(hours=3)

    assert ask("qwen3:0.6b", not_before=later).phase == "scheduled"


@pytest.mark.django_db(transaction=True)
def test_two_people_at_once_start_one(ollama):
    NodeFactory()

    rows = at_once(lambda: ask("qwen3:0.6b"), *[()] * 4)

    assert len({row.pk for row in rows}) == 1
    assert Operation.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_at_once_do_not_share_the_last_bytes_of_the_quota(ollama, environment):
    NodeFactory()
    environment(MODELS_MAX_DISK_GB=1)

    def try_it(name):
        try:
            return ask(name).status
        except errors.DoesNotFit as refusal:
            return refusal.code

    ends = at_once(try_it, ("qwen3:0.6b",), ("gemma3:1b",))

    assert sorted(ends) == ["does_not_fit", "pending"]


def test_a_check_tells_the_same_and_writes_nothing(ollama):
    check = check_install("ollama", "Qwen3:0.6b")

    assert (check.name, check.provider, check.runtime) == (
        "qwen3:0.6b",
        "ollama",
        "ollama",
    )
    assert check.size_bytes == QWEN_BYTES
    assert len(check.digest) == 64
    assert check.can_start
    assert not check.needs_confirmation
    assert check.installed is None
    assert check.running is None
    assert set(levels(check).values()) == {"ok"}
    assert not Operation.objects.exists()


def test_a_check_names_every_obstacle_at_once(ollama, environment):
    environment(
        MODELS_MAX_DISK_GB=0.1, MODELS_CONFIRM_ABOVE_GB=0.2, OLLAMA_NO_CLOUD=True
    )

    check = check_install("ollama", "qwen3:0.6b")

    assert levels(check)["quota"] == "bad"
    assert levels(check)["size"] == "warn"
    assert not check.can_start
    assert check.needs_confirmation
    assert all(f.remedy for f in check.findings if f.level == "bad")
    assert levels(check_install("ollama", "big:1-cloud"))["policy"] == "bad"


def test_a_check_sees_what_is_there_and_under_way(ollama):
    model = InstalledModelFactory(name="qwen3:0.6b")
    operation = ask("qwen3:0.6b")

    check = check_install("ollama", "qwen3:0.6b")

    assert check.installed == model
    assert check.running == operation
    assert not check.can_start


def test_a_check_bears_neighbours_that_are_away(ollama, practice_registry):
    practice_registry.stop()
    ollama.stop()

    check = check_install("ollama", "qwen3:0.6b")

    assert check.size_bytes is None
    assert levels(check)["source"] == levels(check)["server"] == "warn"
    assert check.can_start
