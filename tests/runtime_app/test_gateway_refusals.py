"""What the gateway refuses, in the exception classes of the official client."""

import json
import time

import openai
import pytest

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from runtime_app.gateway import snapshot as snapshot_module
from runtime_app.governance import keys
from tests.fakes.raw import RawServer
from venom_site.lib.access import SYSTEM, Scope
from venom_site.lib.secrets import encrypt

MODEL = "gemma3:4b"
PROMPT = [{"role": "user", "content": "Hello"}]
CHAT = "/v1/chat/completions"


@pytest.fixture
def ollama(gateway, practice_ollama):
    gateway.add("ollama", practice_ollama.url, MODEL, active=MODEL)
    return practice_ollama


def code_of(error: openai.APIStatusError) -> str:
    return error.body["code"]


def assert_names_nobody(response):
    assert response.headers["x-venom-request-id"]
    assert response.headers["x-venom-attempts"] == "0"
    for name in ("provider", "model", "endpoint"):
        assert response.headers[f"x-venom-{name}"] == "none"


@pytest.mark.parametrize(
    "key",
    ["sk-something-else", "venom_short", "venom_" + "A" * 43, "żółw", "venom_" * 4000],
)
def test_a_key_that_is_none_of_ours_is_an_authentication_error(gateway, ollama, key):
    answer = gateway.http().post(
        CHAT,
        json={"model": MODEL, "messages": PROMPT},
        headers={b"Authorization": f"Bearer {key}".encode()},
    )
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert_names_nobody(answer)
    assert not RequestRecord.objects.exists()


def test_a_key_made_a_moment_ago_is_taken(start_gateway, settings):
    settings.GATEWAY_POLL_SECONDS = 30  # the poll comes too late
    gateway = start_gateway()
    assert gateway.http().get("/v1/models").status_code == 200

    _row, key = keys.create_key("new", [Scope.INFERENCE], actor=SYSTEM)

    assert gateway.http(key).get("/v1/models").status_code == 200


def test_strangers_make_the_gateway_look_only_five_times_a_second(
    start_gateway, settings, monkeypatch
):
    settings.GATEWAY_POLL_SECONDS = 30
    gateway = start_gateway()
    gateway.http().get("/v1/models")
    looks = []
    load = snapshot_module._load_if_changed
    monkeypatch.setattr(
        snapshot_module,
        "_load_if_changed",
        lambda *args: looks.append(1) or load(*args),
    )
    stranger = gateway.http("venom_" + "C" * 43)
    began = time.monotonic()
    for _ in range(20):
        assert stranger.get("/v1/models").status_code == 401
    assert len(looks) <= 1 + 5 * (time.monotonic() - began) + 1


def test_no_key_is_an_authentication_error(gateway, ollama):
    client = gateway.http()
    del client.headers["authorization"]
    assert client.get("/v1/models").status_code == 401


def test_the_official_client_raises_its_own_class_for_a_wrong_key(gateway, ollama):
    client = gateway.openai("venom_" + "B" * 43)
    with pytest.raises(openai.AuthenticationError):
        client.models.list()


def test_a_key_without_the_scope_is_told_which_one_it_needs(gateway, ollama):
    client = gateway.openai(gateway.new_key("reader", Scope.ADMIN))
    with pytest.raises(openai.PermissionDeniedError) as caught:
        client.chat.completions.create(model=MODEL, messages=PROMPT)
    assert code_of(caught.value) == "scope_missing"
    assert "inference" in caught.value.body["message"]
    row = gateway.record()
    assert (row.status, row.http_status) == (RequestStatus.FAILED, 403)
    assert (row.error_code, row.key_name) == ("scope_missing", "reader")
    with pytest.raises(openai.PermissionDeniedError):
        client.models.list()


def test_a_client_that_leaves_in_its_own_body_has_a_cancelled_row(gateway, ollama):
    body = {"model": MODEL, "messages": PROMPT}
    with gateway.raw(CHAT, body, sent=0.5):
        pass
    row = gateway.record()
    assert (row.status, row.http_status) == (RequestStatus.CANCELLED, None)
    assert (row.partial, row.key_name) == (False, "bot")
    assert not ollama.state.requests


def test_a_revoked_key_ends_within_a_second(gateway, ollama):
    key = gateway.new_key("leaver", Scope.INFERENCE)
    client = gateway.openai(key)
    client.models.list()
    keys.revoke_key("leaver", actor=SYSTEM)
    gateway.reload()
    with pytest.raises(openai.AuthenticationError):
        client.models.list()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b'{"model": ', "invalid_json"),
        (b"\xff\xfe\x00", "invalid_json"),
        (b"[1, 2]", "invalid_json"),
        (b'"text"', "invalid_json"),
        (b"null", "invalid_json"),
        (b"[" * 200_000, "invalid_json"),
        (b'{"messages": [{}], "temperature": NaN}', "invalid_json"),
        (b'{"messages": [{}], "n": ' + b"9" * 5000 + b"}", "invalid_json"),
        (b'{"model": 7, "messages": [{}]}', "invalid_type"),
        (b'{"stream": "yes", "messages": [{}]}', "invalid_type"),
        (b'{"stream_options": [], "messages": [{}]}', "invalid_type"),
        (b'{"messages": "hello"}', "invalid_type"),
        (b'{"messages": ["hello"]}', "invalid_type"),
        (b'{"messages": []}', "empty_array"),
        (b'{"model": "gemma3:4b"}', "missing_required_parameter"),
    ],
)
def test_a_bad_body_is_400_with_a_code_and_never_more(gateway, ollama, body, code):
    answer = gateway.http().post(CHAT, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    assert answer.json()["error"]["message"].endswith(".")
    assert_names_nobody(answer)
    row = gateway.record()
    assert (row.status, row.http_status) == (RequestStatus.FAILED, 400)
    assert row.error_code == code


def test_a_number_too_large_for_a_float_is_a_bad_body(gateway, ollama):
    body = b'{"model": "auto", "messages": [{}], "temperature": 1e999}'
    answer = gateway.http().post(CHAT, content=body)
    assert answer.status_code == 400


@pytest.mark.slow
def test_a_huge_body_is_413_announced_or_not(gateway, ollama):
    client = gateway.http()
    size = 32 * 1024 * 1024 + 1

    def pieces():
        for _ in range(33):
            yield b" " * 1024 * 1024

    for content in (b" " * size, pieces()):
        answer = client.post(CHAT, content=content)
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "payload_too_large"
    assert client.get("/v1/models").status_code == 200


def test_an_unknown_model_is_not_found_and_says_where_the_list_is(gateway, ollama):
    with pytest.raises(openai.NotFoundError) as caught:
        gateway.openai().chat.completions.create(model="nope:1b", messages=PROMPT)
    assert code_of(caught.value) == "model_not_found"
    assert "/v1/models" in caught.value.body["message"]
    row = gateway.record()
    assert (row.error_code, row.llm_provider) == ("model_not_found", "")
    assert row.requested_model == "nope:1b"


def test_a_key_sent_in_the_place_of_a_model_is_not_quoted(gateway, ollama):
    body = {"model": "sk-proj-" + "q7Zk2Vx9" * 4, "messages": PROMPT}
    answer = gateway.http().post(CHAT, json=body)
    assert answer.json()["error"]["code"] == "model_not_found"
    assert "q7Zk2Vx9" not in answer.text


def test_a_server_that_quotes_its_own_key_is_not_repeated(gateway):
    """A key of a llama-server has no form by which it could be known."""
    key = "lab 7Hq2 key"
    said = json.dumps({"error": {"message": f"Incorrect key: {key}."}}).encode()
    refusal = b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n" % len(said) + said
    with RawServer([refusal]) as server:
        gateway.add("lab", server.url, "m", active="m", encrypted_key=encrypt(key))
        answer = gateway.http().post(CHAT, json={"messages": PROMPT})
    assert answer.json()["error"]["code"] == "upstream_auth"
    assert "Incorrect key: …." in answer.json()["error"]["message"]
    assert key not in gateway.record().error_message


def test_a_model_of_another_server_is_409_naming_the_call_that_activates(
    gateway, ollama, practice_openai
):
    gateway.add("lab", practice_openai.url, "practice-7b")
    with pytest.raises(openai.ConflictError) as caught:
        gateway.openai().chat.completions.create(model="practice-7b", messages=PROMPT)
    assert code_of(caught.value) == "model_not_active"
    message = caught.value.body["message"]
    assert MODEL in message
    assert "POST /api/v1/models/activate" in message
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert not practice_openai.state.requests


def test_without_an_active_model_auto_is_503(gateway, practice_ollama):
    gateway.add("ollama", practice_ollama.url, MODEL)
    with pytest.raises(openai.InternalServerError) as caught:
        gateway.openai().chat.completions.create(model="auto", messages=PROMPT)
    assert caught.value.status_code == 503
    assert code_of(caught.value) == "no_active_runtime"


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("openai/gpt-5", 403, "paid_mode_off"),
        ("google/gemini", 403, "paid_mode_off"),
        ("vllm/x", 403, "outside_profile"),
        ("ollama/nope", 404, "model_not_found"),
        ("a\r\nX-Evil: 1", 404, "model_not_found"),
        ("\ud800", 404, "model_not_found"),
        ("x" * 100_000, 404, "model_not_found"),
    ],
)
def test_names_that_lead_nowhere_are_refused_with_a_code(
    gateway, ollama, model, status, code
):
    body = json.dumps({"model": model, "messages": PROMPT})
    answer = gateway.http().post(CHAT, content=body)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    assert "x-evil" not in answer.headers
    assert gateway.record().error_code == code


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses/resp_1"])
def test_the_responses_api_says_what_to_use_instead(gateway, path):
    answer = gateway.http().post(path, json={})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "unsupported_endpoint"
    assert "/v1/chat/completions" in answer.json()["error"]["message"]
    assert_names_nobody(answer)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1", 404),
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1/audio/speech", 404),
        ("GET", CHAT, 405),
        ("DELETE", CHAT, 405),
        ("POST", "/v1/models", 405),
        ("GET", "/v1/models/nope", 404),
        ("GET", "/v1/models/%00%ff", 404),
    ],
)
def test_other_addresses_and_methods_get_an_error_object(
    gateway, ollama, method, path, status
):
    answer = gateway.http().request(method, path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert ("allow" in answer.headers) is (status == 405)
    assert_names_nobody(answer)


def test_a_server_key_that_cannot_be_decrypted_is_named(gateway, practice_openai):
    gateway.add(
        "lab", practice_openai.url, "practice-7b", active="practice-7b",
        encrypted_key="not-a-token",
    )  # fmt: skip
    with pytest.raises(openai.InternalServerError) as caught:
        gateway.openai().chat.completions.create(model="auto", messages=PROMPT)
    assert code_of(caught.value) == "upstream_auth"


@pytest.mark.usefixtures("db")
def test_before_the_database_answered_no_key_can_be_checked(monkeypatch):
    import asyncio

    from django.db import OperationalError

    from runtime_app.gateway import snapshot
    from runtime_app.gateway.app import Gateway as App

    def away(*_):
        raise OperationalError("unable to open database file")

    monkeypatch.setattr(snapshot, "_load_if_changed", away)
    sent = []

    async def ask():
        app = App()

        async def receive():
            return {"type": "http.request", "body": b""}

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "path": "/v1/models", "method": "GET", "headers": []}
        await app(scope, receive, send)
        await app.stop()

    asyncio.run(ask())
    assert sent[0]["status"] == 503
    assert json.loads(sent[1]["body"])["error"]["code"] == "not_ready"
