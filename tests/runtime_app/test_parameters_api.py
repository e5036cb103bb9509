"""GET and POST `/models/{name}/config`: what may be set, setting it, resetting it."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from history_app.models import AuditEntry
from runtime_app.governance.policy import policy_number
from runtime_app.models import GenerationParameters
from tests.factories import InstalledModelFactory, RuntimeFactory

pytestmark = pytest.mark.django_db

SET = {"temperature": 0.2, "max_tokens": 16_000, "top_k": 7}
NOTHING = dict.fromkeys(
    ("temperature", "max_tokens", "top_p", "top_k", "repeat_penalty")
)


@pytest.fixture(autouse=True)
def ollama():
    return RuntimeFactory(
        online=True, served_models=[{"name": "gemma3:4b"}, {"name": "phi3:latest"}]
    )


@pytest.fixture(autouse=True)
def gemma():
    return InstalledModelFactory(name="gemma3:4b", context_length=32_768)


@pytest.fixture
def shed(settings):
    """An added server with a model that is not ours to install."""
    settings.RUNTIME_PROFILE = "full"
    return RuntimeFactory(
        name="shed",
        display_name="Shed",
        kind="openai_compatible",
        served_models=[{"name": "org/practice-7b"}, {"name": "gemma3:4b"}],
    )


@pytest.fixture
def reader(api_client):
    return api_client("read")


@pytest.fixture
def operator(api_client):
    return api_client("operate")


def address(name="gemma3:4b"):
    return f"/api/v1/models/{name}/config"


def post(client, params, *, name="gemma3:4b", **more):
    body = {"params": params, **more}
    return client.post(address(name), body, content_type="application/json")


def test_a_model_nobody_touched_shows_its_ranges_and_leaves_all_to_the_server(reader):
    answer = reader.get(address()).json()

    assert answer == {
        "success": True,
        "model_name": "gemma3:4b",
        "runtime": "ollama",
        "generation_schema": {
            "temperature": {
                "type": "float", "default": 0.7, "min": 0, "max": 2, "supported": True,
            },
            "max_tokens": {
                "type": "int", "default": 2048, "min": 128, "max": 32_768,
                "supported": True,
            },
            "top_p": {
                "type": "float", "default": 0.9, "min": 0.01, "max": 1,
                "supported": True,
            },
            "top_k": {
                "type": "int", "default": 40, "min": 1, "max": 1000, "supported": False,
            },
            "repeat_penalty": {
                "type": "float", "default": 1.1, "min": 1, "max": 2, "supported": False,
            },
        },
        "current_values": NOTHING,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("context_length", "limits"), [(None, (128, 2048, 8192)), (64, (64, 64, 64))]
)
def test_an_answer_may_be_as_long_as_the_context(reader, gemma, context_length, limits):
    gemma.context_length = context_length
    gemma.save()

    schema = reader.get(address()).json()["generation_schema"]["max_tokens"]

    assert (schema["min"], schema["default"], schema["max"]) == limits


def test_values_are_stored_replaced_and_reset(operator, reader):
    assert post(operator, SET).json()["current_values"] == NOTHING | SET
    assert reader.get(address()).json()["current_values"] == NOTHING | SET

    changed = post(operator, {"top_p": 1, "temperature": None}).json()
    assert changed["current_values"] == NOTHING | {"top_p": 1}
    assert GenerationParameters.objects.get().changed_by == "operate"

    assert post(operator, {}).json()["current_values"] == NOTHING
    assert not GenerationParameters.objects.exists()


def test_each_change_is_audited_and_told_to_the_gateway(operator):
    before = policy_number()
    post(operator, SET)
    post(operator, SET)  # the same again changes nothing
    post(operator, {})

    assert policy_number() == before + 2
    first, last = AuditEntry.objects.filter(verb="model.parameters").order_by("id")
    assert (first.actor, first.object_name) == ("operate", "gemma3:4b · Ollama")
    assert (first.before, first.after) == ({}, SET)
    assert (last.before, last.after) == (SET, {})
    assert first.object_id == last.object_id


def test_one_400_lists_every_wrong_value_and_stores_none(operator):
    wrong = {
        "temperature": 2.1,
        "max_tokens": 127,
        "top_p": "0.5",
        "top_k": 1.5,
        "repeat_penalty": True,
        "num_ctx": 4096,
    }

    answer = post(operator, wrong | {"temperature": -1})

    body = answer.json()
    assert (answer.status_code, body["code"]) == (400, "bad_request")
    assert {error["loc"]: error["message"] for error in body["errors"]} == {
        "body.params.temperature": "must be a number from 0 to 2",
        "body.params.max_tokens": "must be a whole number from 128 to 32768",
        "body.params.top_p": "must be a number from 0.01 to 1",
        "body.params.top_k": "must be a whole number from 1 to 1000",
        "body.params.repeat_penalty": "must be a number from 1 to 2",
        "body.params.num_ctx": "is no parameter; there are temperature, max_tokens, "
        "top_p, top_k, repeat_penalty",
    }
    assert not GenerationParameters.objects.exists()


@pytest.mark.parametrize("value", [1e308 * 10, 10**30, [], {}, "NaN"])
def test_numbers_that_are_none_are_refused(operator, value):
    body = '{"params": {"temperature": %s}}'
    text = body % ("1e999" if value == float("inf") else repr(value).replace("'", '"'))

    answer = operator.post(address(), text, content_type="application/json")

    assert answer.status_code == 400, answer.content


@pytest.mark.parametrize(
    "body", [{}, {"params": None}, {"params": [1]}, {"params": {}, "runtime": 7}]
)
def test_a_body_of_another_shape_is_422(operator, body):
    answer = operator.post(address(), body, content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body")


def test_values_belong_to_one_runtime(operator, reader, shed):
    post(operator, {"temperature": 0}, runtime="shed")

    shown = reader.get(address(), {"runtime": "shed"}).json()
    assert (shown["runtime"], shown["current_values"]["temperature"]) == ("shed", 0)
    assert shown["generation_schema"]["top_k"]["supported"] is True
    of_ollama = reader.get(address(), {"provider": "ollama"}).json()
    assert of_ollama["runtime"] == "ollama"
    assert of_ollama["current_values"] == NOTHING


@pytest.mark.parametrize("name", ["org/practice-7b", quote("org/practice-7b", safe="")])
def test_names_come_raw_and_percent_encoded(reader, shed, name):
    answer = reader.get(address(name), {"runtime": "shed"})

    assert answer.json()["model_name"] == "org/practice-7b"


@pytest.mark.parametrize("name", ["GEMMA3:4B", "phi3", "phi3:latest"])
def test_a_model_is_known_by_the_servers_own_name(operator, name):
    post(operator, {"temperature": 0}, name=name)

    stored = GenerationParameters.objects.get().model_name
    assert stored in {"gemma3:4b", "phi3:latest"}


@pytest.mark.parametrize(
    ("name", "runtime", "status", "code"),
    [
        ("nope:1b", "ollama", 404, "not_found"),
        ("org/practice-7b", "ollama", 404, "not_found"),
        ("gemma3:4b", "nowhere", 422, "unknown_runtime"),
        ("gemma3:4b", "vllm", 403, "outside_profile"),
        ("a%00b", "ollama", 404, "not_found"),
        ("..", "ollama", 404, "not_found"),
        ("x" * 300, "ollama", 404, "not_found"),
    ],
)
def test_what_is_not_there_is_said(operator, name, runtime, status, code):
    answer = operator.get(address(name), {"runtime": runtime})

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_fixed_paths_win_over_names(operator):
    """A model may be called `registry/x/config`; removing it by address still works."""
    answer = operator.delete("/api/v1/models/registry/x/config")

    assert answer.status_code == 404  # not 405


def test_a_reader_may_not_set(reader):
    assert post(reader, SET).status_code == 403
