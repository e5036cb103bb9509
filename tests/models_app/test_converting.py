"""Converting a model by the practice converter: from the wish to a further revision."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from hashlib import sha256
from pathlib import Path

import psutil
import pytest

from models_app import tasks
from models_app.models import InstalledModel, Operation
from models_app.providers import registry as providers
from models_app.providers.stored_models import MARKER, StoredFile
from models_app.services import (
    convert,
    discovery,
    install,
    operations,
    partials,
    prepare,
    registry,
    remove,
)
from models_app.services.nodes import this_node
from models_app.services.registering import register
from tests.fakes.waiting import wait_until
from tests.models_app.installs import begin, carry_out, lines_of
from tests.models_app.model_folders import LLAMA, model_folder
from venom_site.lib.access import SYSTEM
from venom_site.lib.errors import (
    OperationConflict,
    SeveralRevisions,
)

pytest_plugins = ("tests.models_app.ollama_fixtures",)
pytestmark = pytest.mark.django_db(transaction=True)

CONVERTER = Path(__file__).parents[1] / "fakes" / "converter.py"
NAME, COMMIT = "org/m", "a1" * 20
PLAIN = f"{COMMIT}-plain"
BASE = "/api/v1/models/prepare"
PAGE = f"/models/huggingface/{NAME}/prepare/"
OLD_FORM = LLAMA | {"quantization_config": {"quant_method": "bitsandbytes"}}
BUTTON = "Convert</button>"
LONG = 30


def command(way=""):
    words = [sys.executable, str(CONVERTER), "{source}", "{target}"]
    words += ["{dtype}", "{quantization}", *([f"--as={way}"] if way else [])]
    return shlex.join(words)


@pytest.fixture
def use(environment, settings, tmp_path):
    """Set the command to the practice converter, behaving so."""
    settings.DATA_DIR = tmp_path

    def set_command(way="", **more):
        environment(
            VENOM_RUNTIME_PROFILE="full",
            HF_ENDPOINT="http://127.0.0.1:9",
            MODELS_CACHE_DIR=tmp_path / "models",
            MODELS_SCAN_DIRS=str(tmp_path / "shelf"),
            VENOM_STOP_GRACE_SECONDS="2",
            **({"VLLM_PREPARE_COMMAND": command(way)} | more),
        )

    yield set_command
    providers.close_all()


@pytest.fixture
def model(use):
    use()
    return store_model()


def store_model(config=OLD_FORM, **changes):
    """A model in our own store, as an install leaves it."""
    store = providers.own_store()
    with store.fetching(NAME, COMMIT, check=lambda: None) as folder:
        model_folder(folder, config=config, **changes)
        files = [
            StoredFile(
                path=path.name,
                size_bytes=path.stat().st_size,
                sha256=sha256(path.read_bytes()).hexdigest(),
            )
            for path in sorted(folder.iterdir())
        ]
        store.finish(NAME, COMMIT, digest="d" * 64, files=files, license="mit")
    provider = providers.provider_for("huggingface")
    [found] = provider.list_installed()
    said = provider.describe(NAME, COMMIT)
    return register(this_node(), found, provider="huggingface", description=said)


def wish(model, **wished):
    found = prepare.prepare_installed(model, **wished)
    return convert.request_conversion(found, actor=SYSTEM)


def on_disk(suffix=""):
    owner = providers.own_store().root / "org"
    return sorted(path.name for path in owner.iterdir() if path.name.endswith(suffix))


def fresh(operation):
    return operations.get_operation(operation.pk)


# The verdict


def test_what_only_a_conversion_mends_says_what_it_would_do(model):
    found = prepare.prepare_installed(model)

    assert found.action == "convert"
    assert found.conversion.revision == PLAIN
    assert f"m@{PLAIN}" in found.effects[0]
    assert "needed" in found.effects[1]
    assert "VLLM_PREPARE_COMMAND" in found.plan[0]


def test_without_a_command_it_is_refused(use, model):
    use(VLLM_PREPARE_COMMAND="")

    found = prepare.prepare_installed(model)

    assert (found.action, found.conversion) == ("refuse", None)


@pytest.mark.parametrize(
    "changes",
    [
        {"config": {**OLD_FORM, "architectures": ["MPTForCausalLM"]}},
        {"tokenizer__json": None},
        {"model__safetensors": b"cut"},
    ],
)
def test_what_no_conversion_mends_stays_refused(use, changes):
    use()

    assert prepare.prepare_installed(store_model(**changes)).action == "refuse"


@pytest.mark.parametrize(
    ("config", "wished", "revision", "told"),
    [
        (LLAMA, {"quantization": "awq"}, "awq", ("auto", "awq")),
        (
            {**LLAMA, "model_type": "gemma2", "torch_dtype": "float16"},
            {},
            "bfloat16",
            ("bfloat16", "auto"),
        ),
        (OLD_FORM, {"dtype": "float32"}, "plain", ("float32", "none")),
    ],
)
def test_the_command_is_told_what_is_to_become_of_it(
    use, config, wished, revision, told
):
    use()

    found = prepare.prepare_installed(store_model(config), **wished).conversion

    assert found.revision == f"{COMMIT}-{revision}"
    assert (found.dtype, found.quantization) == told


def test_pickle_weights_are_converted_where_a_command_is_set(use):
    use()
    weights = {"weights": False, "pytorch_model__bin": b"pickle"}

    found = prepare.prepare_installed(store_model(LLAMA, **weights))

    assert found.action == "convert"
    assert found.conversion.revision == f"{COMMIT}-safetensors"


def test_a_model_of_others_is_not_converted(model):
    InstalledModel.objects.update(is_foreign=True)
    model.refresh_from_db()

    found = prepare.prepare_installed(model)

    assert found.action == "refuse"
    assert "our own store" in found.effects[-1]


def test_without_room_it_is_refused_with_the_sizes(use, model):
    use(MODELS_MAX_DISK_GB="0.00005")

    found = prepare.prepare_installed(model)

    assert found.action == "refuse"
    assert "are left" in found.effects[-1]


def test_the_page_says_what_stands_against_a_conversion(use, model, page_client):
    use(MODELS_MAX_DISK_GB="0.00005")

    page = page_client("Operator").get(PAGE, {"revision": COMMIT}).content.decode()

    assert "are left" in page
    assert BUTTON not in page


def test_a_model_that_was_converted_here_is_not_to_be_fetched_again(model, page_client):
    carry_out(wish(model))
    made = InstalledModel.objects.get(revision=PLAIN)
    Path(made.path, "config.json").unlink()
    discovery.discover_in("huggingface")

    page = page_client("Operator").get("/models/").content.decode()

    assert InstalledModel.objects.get(revision=PLAIN).status == "broken"
    assert NAME in page
    assert "Fetch again" not in page


# The call and the page


def ask(client, **body):
    body = {"name": NAME, "runtime": "vllm"} | body
    return client.post(BASE, body, content_type="application/json")


def test_the_call_tells_and_with_apply_it_starts(model, api_client):
    reader, client = api_client("read"), api_client("operate")
    assert ask(reader).json()["action"] == "convert"
    assert ask(reader, apply=True).status_code == 403
    assert not Operation.objects.exists()

    answer = ask(client, apply=True)

    assert answer.status_code == 202
    operation = Operation.objects.get()
    assert answer.json()["operation_id"] == str(operation.pk)
    assert "a1a1a1a1a1a1-plain" in answer.json()["message"]
    assert operation.operation_type == "install"
    again = ask(client, apply=True)
    assert again.json()["operation_id"] == str(operation.pk)


@pytest.mark.parametrize(
    ("config", "way", "said"),
    [
        (LLAMA, {}, "nothing to convert"),
        (OLD_FORM, {"VLLM_PREPARE_COMMAND": ""}, "No command"),
        ({**OLD_FORM, "architectures": ["MPTForCausalLM"]}, {}, "MPTForCausalLM"),
    ],
)
def test_what_cannot_be_converted_is_409_with_its_reason(
    use, api_client, config, way, said
):
    use(**way)
    store_model(config)

    answer = ask(api_client("operate"), apply=True)

    assert (answer.status_code, answer.json()["code"]) == (409, "not_convertible")
    assert said in answer.json()["detail"]


def test_the_page_offers_it_to_operators_and_leads_to_the_operation(model, page_client):
    viewer, client = page_client("Viewer"), page_client("Operator")
    assert "What converting would do" in viewer.get(PAGE).content.decode()
    assert BUTTON not in viewer.get(PAGE).content.decode()
    assert BUTTON in client.get(PAGE).content.decode()
    assert viewer.post(PAGE).status_code == 403

    answer = client.post(PAGE, {"revision": COMMIT, "dtype": "", "quantization": ""})

    operation = Operation.objects.get()
    assert (answer.status_code, answer["Location"]) == (
        302,
        operation.get_absolute_url(),
    )


def test_the_page_offers_nothing_where_nothing_is_to_convert(use, page_client):
    use()
    store_model(LLAMA)

    page = page_client("Operator").get(PAGE).content.decode()

    assert BUTTON not in page


# In the worker


def test_a_conversion_ends_with_a_further_revision_that_was_proved(model):
    operation = carry_out(wish(model))

    assert (operation.status, operation.error) == ("completed", "")
    assert [(step.name, step.state) for step in operation.steps] == [
        ("checking", "done"),
        ("preparing", "done"),
        ("verifying", "done"),
        ("registering", "done"),
    ]
    made = InstalledModel.objects.get(revision=PLAIN)
    assert (made.name, made.status, made.error) == (NAME, "installed", "")
    assert made.license == "mit"
    assert made.source == "converted here from a1a1a1a1a1a1"
    assert made.short_revision == "a1a1a1a1a1a1-plain"
    assert "quantization_config" not in json.loads(
        Path(made.path, "config.json").read_text()
    )
    for file in made.files:
        content = Path(made.path, file["path"]).read_bytes()
        assert sha256(content).hexdigest() == file["sha256"]
    assert MARKER not in {file["path"] for file in made.files}
    assert InstalledModel.objects.filter(revision=COMMIT).exists()
    assert on_disk() == [f"m@{COMMIT}", f"m@{PLAIN}"]
    assert "converting to auto none in org" in lines_of(operation)
    assert prepare.prepare_installed(made).action == "none"


def test_what_was_converted_already_is_not_offered_again(model):
    carry_out(wish(model))

    found = prepare.prepare_installed(model)

    assert found.action == "refuse"
    assert "use its revision a1a1a1a1a1a1-plain" in found.effects[-1]


def test_both_revisions_are_told_apart_found_and_removed_alone(model):
    carry_out(wish(model))
    discovery.discover_in("huggingface")

    held = {row.revision for row in InstalledModel.objects.all()}
    assert held == {COMMIT, PLAIN}
    assert registry.only_version(NAME, "huggingface", COMMIT).revision == COMMIT
    for said in (PLAIN, "a1a1a1a1a1a1-plain"):
        assert registry.only_version(NAME, "huggingface", said).revision == PLAIN
    with pytest.raises(SeveralRevisions, match="a1a1a1a1a1a1-plain"):
        registry.only_version(NAME, "huggingface", COMMIT[:7])

    made = InstalledModel.objects.get(revision=PLAIN)
    tasks.run_remove(str(remove.request_remove(made, actor=SYSTEM).pk))

    assert on_disk() == [f"m@{COMMIT}"]
    discovery.discover_in("huggingface")
    assert [row.revision for row in InstalledModel.objects.all()] == [COMMIT]


def test_discovery_finds_a_converted_model_that_no_row_knows(model):
    carry_out(wish(model))
    InstalledModel.objects.filter(revision=PLAIN).delete()

    discovery.discover_in("huggingface")

    assert InstalledModel.objects.get(revision=PLAIN).status == "installed"


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("fail", "no rule for these weights"),
        ("junk", "cut short"),
        ("pickles", "no safetensors"),
        ("nothing", "no safetensors"),
        ("link", "extra.json is a link"),
        ("unmended", "bitsandbytes"),
    ],
)
def test_a_bad_end_has_a_name_leaves_nothing_and_can_be_retried(use, model, way, said):
    use(way)

    operation = carry_out(wish(model))

    assert (operation.status, operation.error_code) == ("failed", "prepare_failed")
    assert said in operation.error
    assert on_disk() == [f"m@{COMMIT}"]
    assert partials.partial_payloads() == []
    use()
    operations.retry_operation(fresh(operation), actor=SYSTEM)
    assert carry_out(operation).status == "completed"


def test_a_missing_command_is_named(use, model):
    use(VLLM_PREPARE_COMMAND="no-such-program {source} {target}")

    operation = carry_out(wish(model))

    assert operation.error_code == "prepare_command_missing"
    assert "no-such-program" in operation.error
    assert on_disk() == [f"m@{COMMIT}"]


def waiting_of(operation):
    return next((li for li in lines_of(operation) if li.startswith("waiting")), "")


def is_alive(pid):
    return psutil.pid_exists(pid) and (
        psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    )


@pytest.mark.slow
@pytest.mark.parametrize("way", ["hang", "stubborn"])
def test_cancelled_it_ends_with_all_that_it_started_and_leaves_nothing(use, model, way):
    use(way)
    operation = wish(model)
    worker = begin(operation)
    wait_until(lambda: waiting_of(operation), seconds=LONG)
    pids = [int(word) for word in waiting_of(operation).split()[1:]]
    assert on_disk(".partial") == [f"m@{PLAIN}.partial"]

    operations.cancel_operation(fresh(operation), actor=SYSTEM)
    worker.join(LONG)

    assert fresh(operation).status == "cancelled"
    assert not any(map(is_alive, pids))
    assert on_disk() == [f"m@{COMMIT}"]


@pytest.mark.slow
def test_a_claim_whose_command_was_killed_fails_and_begins_anew(use, model):
    use("hang")
    operation = wish(model)
    worker = begin(operation)
    wait_until(lambda: waiting_of(operation), seconds=LONG)

    os.kill(int(waiting_of(operation).split()[1]), signal.SIGKILL)
    worker.join(LONG)

    assert fresh(operation).error_code == "prepare_failed"
    assert on_disk() == [f"m@{COMMIT}"]


def test_half_a_folder_of_a_killed_worker_is_begun_anew(model):
    half = providers.own_store().partial(NAME, PLAIN)
    (half / "deep").mkdir(parents=True)
    (half / "deep" / "left.bin").write_bytes(b"half")

    operation = carry_out(wish(model))

    assert operation.status == "completed"
    assert not (providers.own_store().folder(NAME, PLAIN) / "deep").exists()


def test_what_was_made_before_the_worker_died_is_only_listed(use, model):
    operation = wish(model)
    carry_out(operation)
    InstalledModel.objects.filter(revision=PLAIN).delete()
    Operation.objects.filter(pk=operation.pk).update(status="cancelled")
    use("fail")

    operations.retry_operation(fresh(operation), actor=SYSTEM)

    assert carry_out(operation).status == "completed"
    assert InstalledModel.objects.filter(revision=PLAIN).exists()


def test_a_model_that_has_gone_meanwhile_is_named(model):
    operation = wish(model)
    providers.own_store().remove(NAME, COMMIT)

    assert "no longer lies here" in carry_out(operation).error


def test_an_install_of_the_name_does_not_join_a_conversion(model):
    holder = wish(model)

    assert not install._is_of(holder, "")
    with pytest.raises(OperationConflict):
        install._join_same(holder, COMMIT, "no", SYSTEM)
