"""Who may do what: one table, held against every page and every call.

A new address without a row here fails, and so does a row whose address is gone.
"""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User
from django.test import Client

from runtime_app.governance import keys
from tests.house.addresses import UNKNOWN_ID, Address, every_address
from venom_site.api import api
from venom_site.lib.access import GROUPS, SYSTEM, Scope, expand

pytestmark = pytest.mark.django_db

OPEN = "open"
OWN = "own"  # scope read, or scope inference for what the key itself asked
ENDS_OWN = "ends own"  # the same with scope operate
REMOVES_OWN = "removes own"  # the same with scope admin
READ, OPERATE, GOVERN = Scope.READ, Scope.OPERATE, Scope.GOVERN
ASK = Scope.INFERENCE
OPENED_BY = {
    OWN: {READ, ASK},
    ENDS_OWN: {OPERATE, ASK},
    REMOVES_OWN: {Scope.ADMIN, ASK},
}

# Pages: the scope that opens them. Staff pages of the admin follow a rule of their own.
PAGES = {
    "/": READ,
    "/alerts/": READ,
    "/alerts/<pk>/close/": OPERATE,
    "/alerts/<pk>/silence/": OPERATE,
    "/api/docs": READ,
    "/help/": OPEN,
    "/jump/": READ,
    "/models/": READ,
    "/models/<provider>/<name>/": READ,
    "/models/<provider>/<name>/capabilities/": OPERATE,
    "/models/<provider>/<name>/prepare/": OPERATE,
    "/models/<provider>/<name>/remove/": OPERATE,
    "/models/catalog/": READ,
    "/models/catalog/refresh/": OPERATE,
    "/models/catalog/variants/": READ,
    "/models/details/refresh/": OPERATE,
    "/models/install/": OPERATE,
    "/models/install/fit/": OPERATE,
    "/models/menu/": OPERATE,
    "/models/trending/": READ,
    "/news/": READ,
    "/news/papers/": READ,
    "/news/refresh/": OPERATE,
    "/operations/": READ,
    "/operations/<pk>/": READ,
    "/operations/<pk>/cancel/": OPERATE,
    "/operations/<pk>/pause/": OPERATE,
    "/operations/<pk>/resume/": OPERATE,
    "/operations/<pk>/retry/": OPERATE,
    "/operations/probe/": OPERATE,
    "/readyz": OPEN,
    "/requests/": READ,
    "/requests/<pk>/": READ,
    "/requests/news/": READ,
    "/runtimes/": READ,
    "/runtimes/<name>/": READ,
    "/runtimes/<name>/activate/": OPERATE,
    "/runtimes/<name>/change/": OPERATE,
    "/runtimes/<name>/log/": READ,
    "/runtimes/<name>/charts/": READ,
    "/runtimes/<name>/parameters/": READ,
    "/runtimes/<name>/parameters/save/": OPERATE,
    "/runtimes/<name>/remove/": OPERATE,
    "/runtimes/<name>/restart/": OPERATE,
    "/runtimes/<name>/start/": OPERATE,
    "/runtimes/<name>/stop/": OPERATE,
    "/runtimes/<name>/names/": READ,
    "/runtimes/<name>/repair/": OPERATE,
    "/runtimes/<name>/trial/": READ,
    "/runtimes/<name>/trial/run/": OPERATE,
    "/runtimes/active/": READ,
    "/runtimes/add/": OPERATE,
    "/runtimes/memory/load/": OPERATE,
    "/runtimes/memory/pin/": OPERATE,
    "/runtimes/memory/unload-all/": OPERATE,
    "/runtimes/memory/unload/": OPERATE,
    "/set-language/": OPEN,
    "/set-theme/": OPEN,
    "/sign-in/": OPEN,
    "/welcome/<token>/": OPEN,
}
# It is open so that everybody can leave, and sends the signed-out to sign in.
SIGN_OUT = "/sign-out/"

# Calls: the scope, and a body that fits the schema where one is needed.
CALLS = {
    "DELETE /models/partials": (OPERATE, None),
    "DELETE /models/registry/{name}": (OPERATE, None),
    "DELETE /models/{name}": (OPERATE, None),
    "DELETE /sessions/{session_id}": (REMOVES_OWN, None),
    "GET /alerts": (READ, None),
    "GET /history/requests": (OWN, None),
    "GET /history/requests/export": (OWN, None),
    "GET /history/requests/{identifier}": (OWN, None),
    "GET /models": (READ, None),
    "GET /models/details": (READ, None),
    "GET /models/ollama/catalog": (READ, None),
    "GET /models/news": (READ, None),
    "GET /models/operations": (READ, None),
    "GET /models/operations/{operation_id}": (READ, None),
    "GET /models/partials": (READ, None),
    "GET /models/providers": (READ, None),
    "GET /models/search": (READ, None),
    "GET /models/trending": (READ, None),
    "GET /models/room": (READ, None),
    "GET /models/usage": (READ, None),
    "GET /models/{name}/capabilities": (READ, None),
    "GET /models/{name}/config": (READ, None),
    "GET /models/{name}/trial": (READ, None),
    "GET /models/{name}/versions": (READ, None),
    "POST /alerts/{alert_id}/close": (OPERATE, None),
    "POST /alerts/{alert_id}/silence": (OPERATE, {"hours": 1, "reason": "x"}),
    "POST /models/activate": (OPERATE, {"name": "m", "runtime": "ollama"}),
    "POST /models/install": (OPERATE, {"name": "m", "provider": "ollama"}),
    "POST /models/load": (OPERATE, {"name": "m"}),
    "POST /models/operations/probe": (OPERATE, {"seconds": 1}),
    "POST /models/operations/{operation_id}/cancel": (OPERATE, None),
    "POST /models/operations/{operation_id}/discard": (OPERATE, None),
    "POST /models/operations/{operation_id}/pause": (OPERATE, None),
    "POST /models/operations/{operation_id}/resume": (OPERATE, None),
    "POST /models/operations/{operation_id}/retry": (OPERATE, None),
    "POST /models/pin": (OPERATE, {"name": "m", "pinned": True}),
    "POST /models/prepare": (READ, {"name": "m", "runtime": "ollama"}),
    "POST /models/registry/install": (
        OPERATE,
        {"name": "m", "provider": "ollama", "runtime": "ollama"},
    ),
    "POST /models/remove": (OPERATE, {"name": "m"}),
    "POST /models/switch": (OPERATE, {"name": "m"}),
    "POST /models/unload": (OPERATE, {"name": "m"}),
    "POST /models/unload-all": (OPERATE, {}),
    "POST /models/{name}/trial": (OPERATE, None),
    "POST /models/{name}/config": (OPERATE, {"params": {"top_p": 1}}),
    "DELETE /models/{name}/capabilities": (OPERATE, None),
    "PUT /models/{name}/capabilities": (OPERATE, {"supports_vision": True}),
    "GET /sessions": (OWN, None),
    "GET /sessions/{session_id}": (OWN, None),
    "GET /tasks/{task_id}": (OWN, None),
    "POST /tasks": (ASK, {"content": "Hello"}),
    "POST /tasks/{task_id}/cancel": (ENDS_OWN, None),
    "GET /system/llm-servers": (READ, None),
    "POST /system/llm-servers": (
        OPERATE,
        {"name": "mine", "base_url": "http://127.0.0.1:9/v1"},
    ),
    "GET /system/llm-servers/active": (READ, None),
    "POST /system/llm-servers/active": (
        OPERATE,
        {"server_name": "ollama", "model_name": "m"},
    ),
    "POST /system/llm-servers/{server}/repair": (OPERATE, None),
    "GET /system/llm-servers/{server}/logs": (READ, None),
    "POST /system/llm-servers/{server}/start": (OPERATE, {}),
    "POST /system/llm-servers/{server}/stop": (OPERATE, {}),
    "POST /system/llm-servers/{server}/restart": (OPERATE, {}),
    "GET /system/services": (READ, None),
    "GET /system/status": (READ, None),
}
PEOPLE = (*GROUPS, "nobody")
KEYS = tuple(Scope)


def person(group, make_user):
    """A signed-in browser; `nobody` is signed in and belongs to no group."""
    client = Client(raise_request_exception=False)
    user = User.objects.create_user("x") if group == "nobody" else make_user(group)
    client.force_login(user)
    return client, expand(frozenset({GROUPS[group]} if group in GROUPS else ()))


def our_pages():
    every = every_address()
    return [a for a in every if not a.is_api and not a.is_admin]


def every_call():
    paths = api.get_openapi_schema()["paths"]
    return {
        f"{method.upper()} {url.removeprefix('/api/v1')}"
        for url, methods in paths.items()
        for method in methods
    }


# What a call cannot do without in its query: a scope is asked for after that.
QUERIES = {
    "GET /models/details": "?provider=ollama&name=gemma3",
    "GET /models/search": "?query=gemma",
    "GET /models/trending": "?provider=ollama",
}


def answer_to(client, call):
    method, url = call.split()
    body = CALLS[call][1]
    route = url.replace("{", "<").replace("}", ">")
    target = Address(f"/api/v1{route}").with_value(UNKNOWN_ID) + QUERIES.get(call, "")
    text = json.dumps(body) if body is not None else ""
    return client.generic(method, target, text, "application/json")


def is_refused(answer):
    return answer.status_code == 403 and answer.json()["code"] == "scope_missing"


def test_every_page_has_a_row_and_every_row_a_page():
    assert {page.route for page in our_pages()} == {*PAGES, SIGN_OUT}


def test_every_call_has_a_row_and_every_row_a_call():
    assert every_call() == set(CALLS)


@pytest.mark.slow
def test_signed_out_only_open_pages_answer():
    client = Client(raise_request_exception=False)
    for page in our_pages():
        url = page.with_value(UNKNOWN_ID)
        answer = client.get(url)
        sent_away = answer.status_code == 302 and "/sign-in/" in answer["Location"]
        assert sent_away == (PAGES.get(page.route) != OPEN), url
    for address in every_address():
        if address.is_admin:
            answer = client.get(address.with_value(UNKNOWN_ID))
            assert answer["Location"].startswith("/sign-in/?next="), address


@pytest.mark.slow
@pytest.mark.parametrize("group", PEOPLE)
def test_a_page_opens_to_those_who_hold_its_scope(group, make_user):
    client, scopes = person(group, make_user)
    for page in our_pages():
        needed = PAGES.get(page.route, OPEN)
        url = page.with_value(UNKNOWN_ID)
        answers = {client.get(url).status_code}
        if page.route != SIGN_OUT:
            answers.add(client.post(url).status_code)
        refused = 403 in answers
        assert refused == (needed != OPEN and needed not in scopes), (url, answers)


@pytest.mark.slow
@pytest.mark.parametrize("group", PEOPLE)
def test_the_admin_is_for_staff_alone(group, make_user):
    client, _ = person(group, make_user)
    assert client.get("/admin/").status_code == 403
    assert client.get("/admin/login/").status_code == 403

    User.objects.update(is_staff=True)
    assert client.get("/admin/").status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("scope", KEYS)
def test_a_key_may_call_what_its_scope_holds(scope):
    _, key = keys.create_key("bot", [scope], actor=SYSTEM)
    client = Client(
        raise_request_exception=False, headers={"Authorization": f"Bearer {key}"}
    )
    held = expand(frozenset({scope}))
    for call in sorted(every_call() & set(CALLS)):
        needed = CALLS[call][0]
        allowed = bool(held & OPENED_BY.get(needed, {needed}))
        answer = answer_to(client, call)
        assert is_refused(answer) != allowed, (call, answer.content)
        assert answer.status_code != 401, call
        assert b'"invalid_body"' not in answer.content, (call, answer.content)


@pytest.mark.slow
@pytest.mark.parametrize("group", PEOPLE)
def test_a_person_may_call_what_the_group_holds(group, make_user):
    client, held = person(group, make_user)
    asks = {ASK} if OPERATE in held else set()  # whoever operates may also ask
    for call in sorted(every_call() & set(CALLS)):
        needed = CALLS[call][0]
        allowed = bool((held | asks) & OPENED_BY.get(needed, {needed}))
        answer = answer_to(client, call)
        assert is_refused(answer) != allowed, (call, answer.content)


@pytest.mark.parametrize("scope", KEYS)
def test_the_openapi_document_needs_read(scope):
    _, key = keys.create_key("bot", [scope], actor=SYSTEM)
    client = Client(headers={"Authorization": f"Bearer {key}"})

    answer = client.get("/api/v1/openapi.json")

    assert answer.status_code == (403 if scope == Scope.INFERENCE else 200)
    assert Client().get("/api/v1/openapi.json").status_code == 401


def test_a_key_opens_no_page(api_client):
    answer = api_client("admin").get("/runtimes/")

    assert answer.status_code == 302


def test_a_bad_key_never_falls_back_to_the_session(page_client):
    client = page_client("Admin")

    answer = client.get(
        "/api/v1/models", headers={"Authorization": "Bearer venom_" + "x" * 43}
    )

    assert answer.status_code == 401


def test_a_session_that_changes_something_needs_the_csrf_token(make_user):
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(make_user("Operator"))

    answer = client.post("/api/v1/models/switch", {"name": "m"}, "application/json")

    assert answer.status_code == 403
    assert answer.json()["csrf"] is True


def test_a_person_switched_off_is_signed_out_at_once(page_client):
    client = page_client("Admin")
    User.objects.update(is_active=False)

    assert client.get("/runtimes/").status_code == 302
    assert client.get("/api/v1/models").status_code == 401
