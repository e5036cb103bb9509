"""The calls that start and stop servers and read their logs; refusals and shapes."""

from __future__ import annotations

import json

import httpx
import pytest
from django.core.management import CommandError, call_command

from models_app.models import Operation
from runtime_app.choices import ManagedBy, RuntimeKind, Wish
from runtime_app.governance import keys
from runtime_app.services.server_lines import first_lines, lines_after
from tests import event_streams
from tests.factories import RuntimeFactory
from tests.runtime_app.own_servers import MODEL
from venom_site.lib.access import SYSTEM, Scope

pytestmark = pytest.mark.django_db(transaction=True)
pytest_plugins = ("tests.fakes.fixtures", "tests.runtime_app.own_server_fixtures")

SERVERS = "/api/v1/system/llm-servers"


@pytest.fixture
def operator(client):
    """operator.post(url, {…}) with a key that may operate."""
    _, key = keys.create_key("bot", [Scope.OPERATE], actor=SYSTEM)

    class Operator:
        def post(self, url, body=None, **headers):
            return client.post(
                f"{SERVERS}{url}",
                json.dumps(body or {}),
                content_type="application/json",
                headers={"Authorization": f"Bearer {key}"} | headers,
            )

        def get(self, url):
            bearer = {"Authorization": f"Bearer {key}"}
            return client.get(f"{SERVERS}{url}", headers=bearer)

    return Operator()


def test_start_stop_and_restart_are_operations_of_the_server(own_vllm, operator):
    answer = operator.post("/vllm/start", {"model": MODEL})

    assert answer.status_code == 202, answer.content
    body = answer.json()
    operation = Operation.objects.get(pk=body["operation_id"])
    assert (operation.operation_type, operation.model_name) == ("start", MODEL)
    assert operation.lock_key == "test-node|runtimes"
    assert body["server"]["supports"] == {
        "start": True,
        "stop": True,
        "restart": True,
        "unload": False,
    }
    joined = operator.post("/vllm/start", {"model": MODEL})
    assert joined.json()["operation_id"] == body["operation_id"]
    other = operator.post("/vllm/stop")
    assert (other.status_code, other.json()["code"]) == (409, "operation_conflict")


def test_a_restart_may_wait_until_the_server_is_idle(own_vllm, operator):
    own_vllm.last_model = MODEL
    own_vllm.save()

    answer = operator.post("/vllm/restart", {"when": "idle"})
    assert answer.status_code == 202, answer.content
    assert Operation.objects.get().params["when"] == "idle"

    sooner = operator.post("/vllm/restart")
    assert (sooner.status_code, sooner.json()["code"]) == (409, "operation_conflict")
    for verb in ("stop", "restart"):
        wrong = operator.post(f"/vllm/{verb}", {"when": "later"})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_body")
        assert wrong.json()["errors"][0]["loc"] == "body.when"


def test_a_repeated_key_gives_the_first_answer(own_vllm, operator):
    key = {"Idempotency-Key": "one"}
    first = operator.post("/vllm/stop", {}, **key)
    again = operator.post("/vllm/stop", {}, **key)

    assert first.status_code == 202, first.content
    assert again.headers["Idempotent-Replay"] == "true"
    assert again.json()["operation_id"] == first.json()["operation_id"]


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_a_server_added_by_hand_is_never_started_or_stopped(
    own_settings, operator, verb
):
    RuntimeFactory(name="mine", kind=RuntimeKind.OPENAI_COMPATIBLE)

    answer = operator.post(f"/mine/{verb}")

    assert (answer.status_code, answer.json()["code"]) == (409, "not_ours")
    assert operator.get("").json()["servers"][0]["supports"]["start"] is False


def test_a_foreign_process_is_named_in_the_refusal(own_vllm, operator):
    own_vllm.managed_by = ManagedBy.EXTERNAL
    own_vllm.holder = {"pid": 4711, "user": "anna", "command": "vllm serve other"}
    own_vllm.save()

    problem = operator.post("/vllm/stop").json()

    assert problem["code"] == "not_ours"
    assert problem["holder"] == {
        "pid": 4711,
        "user": "anna",
        "command": "vllm serve other",
    }
    assert "4711" in problem["detail"]
    assert "anna" in problem["detail"]


def test_a_start_without_a_model_takes_the_last_one(own_vllm, operator):
    refused = operator.post("/vllm/start")
    assert (refused.status_code, refused.json()["code"]) == (409, "model_needed")

    own_vllm.last_model = MODEL
    own_vllm.save()
    answer = operator.post("/vllm/start")

    assert answer.status_code == 202
    assert Operation.objects.get().model_name == MODEL


def test_a_start_with_another_model_beside_a_running_one_is_refused(own_vllm, operator):
    own_vllm.wish, own_vllm.pid = Wish.RUNNING, 4711
    own_vllm.launch = {"argv": ["x"], "served_name": "acme/other"}
    own_vllm.save()

    answer = operator.post("/vllm/start", {"model": MODEL})

    assert (answer.status_code, answer.json()["code"]) == (409, "server_running")
    assert answer.json()["model"] == "acme/other"


def test_what_cannot_be_started_is_refused_before_anything_changes(
    own_vllm, own_settings, own_model, operator, folder
):
    unknown = operator.post("/vllm/start", {"model": "acme/none"})
    assert unknown.json()["code"] == "model_not_installed"

    own_settings(VLLM_COMMAND="no-such-program serve")
    missing = operator.post("/vllm/start", {"model": MODEL})
    assert missing.json()["code"] == "command_missing"
    assert missing.json()["setting"] == "VLLM_COMMAND"

    own_settings(VLLM_COMMAND="true")
    (folder / "config.json").unlink()
    gone = operator.post("/vllm/start", {"model": MODEL})
    assert gone.json()["code"] == "model_folder_missing"
    assert not Operation.objects.exists()


def test_outside_the_profile_nothing_is_started(own_vllm, settings, operator):
    settings.RUNTIME_PROFILE = "llm_off"

    answer = operator.post("/vllm/start")

    assert (answer.status_code, answer.json()["code"]) == (403, "outside_profile")
    assert operator.post("/nothing/start").status_code == 404


def test_who_may_only_read_starts_nothing(own_vllm, client):
    _, key = keys.create_key("reader", [Scope.READ], actor=SYSTEM)
    bearer = {"Authorization": f"Bearer {key}"}

    answer = client.post(
        f"{SERVERS}/vllm/start", "{}", content_type="application/json", headers=bearer
    )

    assert answer.status_code == 403


def written(tmp_path, *lines):
    path = tmp_path / "logs" / "vllm.log"
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as log:
        log.writelines(f"{line}\n" for line in lines)


def test_the_log_shows_its_last_lines(own_vllm, operator, tmp_path):
    assert operator.get("/vllm/logs").json()["lines"] == []
    written(tmp_path, "one", "two", "three")

    answer = operator.get("/vllm/logs?lines=2").json()

    assert (answer["lines"], answer["count"]) == (["two", "three"], 2)
    assert operator.get("/vllm/logs?lines=0").status_code == 400
    RuntimeFactory(name="mine", kind=RuntimeKind.OPENAI_COMPATIBLE)
    assert operator.get("/mine/logs").json()["code"] == "no_log"


def test_a_log_goes_on_from_the_place_that_was_read(own_vllm, tmp_path):
    written(tmp_path, "one", "two")
    first = first_lines(own_vllm, 10)
    written(tmp_path, "three")
    after = lines_after(own_vllm, first.place)

    assert (first.lines, after.lines) == (["one", "two"], ["three"])
    assert lines_after(own_vllm, after.place).lines == []
    assert lines_after(own_vllm, "nonsense").lines == ["one", "two", "three"]


@pytest.mark.slow
def test_a_followed_log_tells_what_comes_and_resumes(own_vllm, web, tmp_path):
    _, key = keys.create_key("bot", [Scope.READ], actor=SYSTEM)
    bearer = {"Authorization": f"Bearer {key}"}
    written(tmp_path, "one", "two")
    url = f"{web.url}{SERVERS}/vllm/logs?follow=1&lines=1"
    with (
        httpx.Client(trust_env=False, timeout=10) as program,
        program.stream("GET", url, headers=bearer) as stream,
    ):
        assert stream.headers["content-type"].startswith("text/event-stream")
        told = event_streams.events(stream)
        place, name, data = next(told)
        assert (name, data) == ("log", {"runtime": "vllm", "line": "two"})
        written(tmp_path, "three")
        assert next(told)[2]["line"] == "three"
    with httpx.Client(trust_env=False, timeout=10) as program:
        again = bearer | {"Last-Event-ID": place}
        with program.stream("GET", url, headers=again) as stream:
            assert next(event_streams.events(stream))[2]["line"] == "three"
        assert program.get(f"{url}x", headers=bearer).status_code == 400
        assert program.get(url).status_code == 401


def test_the_command_says_how_a_server_is_with_the_codes_of_the_lsb(
    own_vllm, practice_openai, capsys
):
    with pytest.raises(SystemExit) as stopped:
        call_command("runtimes", "status", "vllm")
    assert stopped.value.code == 3
    with pytest.raises(CommandError) as unknown:
        call_command("runtimes", "status", "nothing")
    assert unknown.value.returncode == 4

    own_vllm.base_url = f"{practice_openai.url}/v1"
    own_vllm.save()
    call_command("runtimes", "status", "vllm", "--json")

    said = capsys.readouterr().out
    assert json.loads(said[said.index("{") :])["state"] == "online"


def test_the_command_asks_for_a_start(own_vllm, capsys):
    call_command("runtimes", "start", "vllm", "--model", MODEL, "--json", "--no-wait")

    operation = Operation.objects.get()
    assert json.loads(capsys.readouterr().out)["operation_id"] == str(operation.pk)
    assert operation.operation_type == "start"
