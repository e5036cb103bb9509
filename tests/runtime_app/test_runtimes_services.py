"""Seeding from the environment, adding a server, the command, the wire's limits."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from history_app.models import AuditEntry
from runtime_app.governance.policy import policy_number
from runtime_app.models import Runtime
from runtime_app.schemas import server_address, server_key, server_name
from runtime_app.services import runtimes, seeding
from venom_site.clients.openai_compatible import OpenAICompatibleClient
from venom_site.lib import http_answers, secrets
from venom_site.lib.errors import NotFound, OutsideProfile, WireError

pytestmark = pytest.mark.django_db(transaction=True)
pytest_plugins = ("tests.fakes.fixtures",)


@pytest.fixture
def environ(settings):
    """environ(NAME=value) changes what the environment says."""

    def change(**values) -> None:
        fresh = settings.ENV.model_dump() | values
        settings.ENV = type(settings.ENV).model_validate(fresh)

    return change


def names() -> list[str]:
    return list(Runtime.objects.order_by("name").values_list("name", flat=True))


def test_the_first_start_makes_the_rows_of_the_profile_once(environ, settings):
    environ(VENOM_OPENAI_COMPATIBLE_SERVERS="shed=http://127.0.0.1:8080/v1")
    seeding.ensure_runtimes()
    seeding.ensure_runtimes()
    assert names() == ["ollama", "shed"]

    settings.RUNTIME_PROFILE = "full"
    seeding.ensure_runtimes()
    assert names() == ["ollama", "shed", "vllm"]


def test_named_servers_are_added_at_the_first_start_only(environ):
    seeding.ensure_runtimes()
    environ(VENOM_OPENAI_COMPATIBLE_SERVERS="late=http://127.0.0.1:8080/v1")

    seeding.ensure_runtimes()

    assert names() == ["ollama"]


def test_the_environment_is_the_truth_about_the_address_of_ollama(environ):
    seeding.ensure_runtimes()
    Runtime.objects.update(status="online", failed_checks=1)
    before = policy_number()
    environ(OLLAMA_BASE_URL="http://127.0.0.1:7777")

    seeding.ensure_runtimes()

    row = Runtime.objects.get()
    assert (row.base_url, row.status) == ("http://127.0.0.1:7777", "unknown")
    assert policy_number() == before + 1


def test_an_added_server_keeps_its_key_encrypted_and_leaves_an_audit_row(actor):
    row = runtimes.add_server("shed", "http://127.0.0.1:8/v1", "k-12345", actor=actor)

    row.refresh_from_db()
    assert "k-12345" not in row.encrypted_key
    assert secrets.decrypt(row.encrypted_key) == "k-12345"
    entry = AuditEntry.objects.get(verb="runtime.add")
    assert "k-12345" not in json.dumps(entry.after)
    with pytest.raises(runtimes.NameTaken):
        runtimes.add_server("shed", "http://127.0.0.1:9/v1", "", actor=actor)


def test_the_key_travels_to_the_server_and_only_there(practice_openai, actor):
    practice_openai.state.api_key = "k-12345"
    client = OpenAICompatibleClient(f"{practice_openai.url}/v1", "k-12345")
    assert [model.name for model in client.models()] == ["practice-7b"]
    client.close()

    client = OpenAICompatibleClient(f"{practice_openai.url}/v1", "k-wrong-one")
    with pytest.raises(WireError) as refusal:
        client.models()
    client.close()
    assert refusal.value.reason_code == "AUTH_ERROR"
    assert refusal.value.permanent
    assert "k-wrong-one" not in str(refusal.value)


def test_llm_off_takes_no_servers(actor, settings):
    settings.RUNTIME_PROFILE = "llm_off"
    with pytest.raises(OutsideProfile):
        runtimes.add_server("shed", "http://127.0.0.1:8/v1", "", actor=actor)


def test_a_name_in_an_address_that_does_not_exist_is_not_found(db):
    with pytest.raises(NotFound):
        runtimes.get_runtime("nowhere")


@pytest.mark.parametrize(
    "bad", ["", "Shed", "-shed", "a" * 41, "a b", "ż", "ollama", "active", "a/b"]
)
def test_names_that_a_server_cannot_have(bad):
    with pytest.raises(ValueError):
        server_name(bad)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "127.0.0.1:8080",
        "ftp://x/v1",
        "http://",
        "http://u:p@x/v1",
        "http://x:99999/v1",
        "http://[::1/v1",
        "http://a b/v1",
        "http://x/v1?key=1",
        "http://x/v1#f",
        "http://x/" + "a" * 300,
    ],
)
def test_addresses_that_a_server_cannot_have(bad):
    with pytest.raises(ValueError):
        server_address(bad)


def test_an_address_without_a_path_gets_v1():
    assert server_address("http://127.0.0.1:8080/") == "http://127.0.0.1:8080/v1"
    assert server_address("https://h/openai/v1/") == "https://h/openai/v1"


@pytest.mark.parametrize(
    "bad", ["sk-1…9f2a", "****", "two words", "a\nb", "ż", "x" * 501]
)
def test_what_cannot_be_a_key(bad):
    with pytest.raises(ValueError):
        server_key(bad)


def test_an_answer_that_is_too_large_is_refused(practice_openai, monkeypatch):
    monkeypatch.setattr(http_answers, "MAX_ANSWER_BYTES", 50)
    client = OpenAICompatibleClient(f"{practice_openai.url}/v1")
    with pytest.raises(WireError, match="larger"):
        client.models()
    client.close()


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("runtimes", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_adds_lists_and_activates(practice_openai):
    added = json.loads(run("add", "shed", practice_openai.url, "--json"))
    assert added["server"]["status"] == "online"
    assert added["server"]["endpoint"] == f"{practice_openai.url}/v1"

    listed = json.loads(run("--json"))
    assert [row["name"] for row in listed["servers"]] == ["shed"]
    assert "practice-7b" in run()

    started = json.loads(run("activate", "shed", "practice-7b", "--json"))
    assert started["operation"]["status"] == "pending"


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "Bad Name", "http://127.0.0.1:8/v1"),
        ("add", "shed", "nonsense"),
        ("activate", "nowhere", "m"),
    ],
)
def test_the_command_says_what_is_wrong_in_one_sentence(arguments):
    with pytest.raises(CommandError) as refusal:
        run(*arguments)
    assert "\n" not in str(refusal.value)
