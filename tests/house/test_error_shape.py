"""Whatever is sent to whatever address, the answer has a face of ours and no 500.

Walks every URL of the resolver and every call of the OpenAPI document.
"""

from __future__ import annotations

import json
import types

import pytest
from django.db import DatabaseError
from django.http import Http404
from django.test import Client
from django.urls import include, path

from runtime_app.governance import keys
from tests.house.addresses import GARBAGE, UNKNOWN_ID, Address, every_address
from venom_site.api import api
from venom_site.lib.access import SYSTEM, Scope, open_to_all
from venom_site.lib.errors import OperationConflict, TooManyRequests

pytestmark = pytest.mark.django_db

METHODS = ("get", "post", "put", "patch", "delete")
MEMBERS = {"type", "title", "status", "detail", "code", "request_id"}
BODIES = {
    "not JSON": b"{nonsense",
    "not UTF-8": b"\xff\xfe",
    "deep": b"[" * 100_000,
    "NaN": b'{"seconds": NaN}',
    "a list": b"[1, 2]",
    "a number": b"7",
    "null": b"null",
    "empty": b"",
    "half a character": b'{"name": "\\ud800", "model": "\\ud800", "seconds": 1}',
    "NUL": b'{"name": "a\\u0000", "model": "a\\u0000", "base_url": "http://a\\u0000"}',
    "wrong types": b'{"name": [], "model": {}, "seconds": "x", "wait_seconds": "1",'
    b' "server_name": 1, "model_name": false, "base_url": 7, "key": {}, "fail": "?"}',
    "huge numbers": b'{"seconds": 1e999, "wait_seconds": 99999999999999999999}',
}
BAD_QUERIES = (
    "cursor=nonsense&limit=x",
    "limit=0",
    "limit=-1",
    "limit=99999999999999999999",
    "cursor=%F0%9F%92%A9",
    "cursor=%00",
    "status=%00&type=nonsense",
    "since=yesterday&until=%ff",
    "lines=many&provider[]=x",
)


@pytest.fixture
def root(page_client):
    return page_client("Admin")


def api_routes():
    return [address for address in every_address() if address.is_api]


def page_routes():
    """Ours; Django's own admin answers with pages of its own."""
    every = every_address()
    return [
        a
        for a in every
        if not (a.is_api or a.is_admin or a.route in {"/readyz", "/i18n/setlang/"})
    ]


def is_problem(answer):
    """Asserts the shape; returns the body."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = json.loads(answer.content)
    assert set(body) >= MEMBERS, body
    assert body["status"] == answer.status_code
    assert body["detail"].endswith((".", "!", "?", "”")), body
    assert body["code"] == body["type"].rpartition(":")[2]
    assert body["request_id"] == answer.headers["X-Request-Id"]
    return body


def check_api(answer, where):
    """A foreign source that is away is 502 and named; nothing else is above 499."""
    if answer.status_code == 502:
        assert is_problem(answer)["code"] == "provider_unreachable", where
        return
    assert answer.status_code < 500, (where, answer.content[:300])
    if answer.status_code >= 400:
        try:
            is_problem(answer)
        except AssertionError as error:
            raise AssertionError(f"{where}: {error}") from error


def check_page(answer, where):
    assert answer.status_code < 500, (where, answer.content[:300])
    if answer.status_code >= 400:
        kind = answer.headers["Content-Type"]
        assert kind.startswith("text/html"), (where, answer.status_code, kind)
        assert b"<h1>" in answer.content, where


@pytest.mark.slow
def test_no_api_address_breaks_under_unknown_and_garbage_ids(api_client):
    client = api_client("admin", "inference")
    for address in api_routes():
        for url in address.with_each_of((UNKNOWN_ID, *GARBAGE)):
            for method in METHODS:
                answer = getattr(client, method)(url)
                check_api(answer, f"{method} {url}")


def post_json(client, url):
    return client.post(url, {}, content_type="application/json")


@pytest.mark.slow
def test_an_id_that_cannot_exist_is_404(api_client):
    client = api_client("admin")
    for address in api_routes():
        if "<" in address.route:
            url = address.with_value("not-an-id")
            sent = (client.get(url), client.delete(url), post_json(client, url))
            answers = {answer.status_code for answer in sent}
            assert answers <= {404, 405, 422}, url
            assert 404 in answers, url


@pytest.mark.slow
@pytest.mark.parametrize("kind", BODIES)
def test_no_api_call_breaks_under_a_bad_body(api_client, kind):
    client = api_client("admin")
    for url, call in api.get_openapi_schema()["paths"].items():
        route = url.replace("{", "<").replace("}", ">")
        target = Address(route).with_value(UNKNOWN_ID)
        for method in call:
            answer = client.generic(
                method.upper(), target, BODIES[kind], "application/json"
            )
            check_api(answer, f"{method} {target} with {kind}")
            if kind in ("not JSON", "deep", "NaN") and "requestBody" in call[method]:
                assert answer.status_code in (400, 404), f"{method} {target}"


@pytest.mark.slow
def test_wrong_types_are_422_with_a_place_and_a_sentence_each(api_client):
    client = api_client("admin")
    for url, call in api.get_openapi_schema()["paths"].items():
        if "{" in url or "requestBody" not in call.get("post", {}):
            continue
        answer = client.post(url, BODIES["wrong types"], "application/json")
        body = is_problem(answer)
        assert answer.status_code == 422, (url, body)
        assert body["code"] == "invalid_body"
        assert all(set(row) == {"loc", "message"} for row in body["errors"])


@pytest.mark.slow
@pytest.mark.parametrize("query", BAD_QUERIES)
def test_no_address_breaks_under_a_bad_query(api_client, root, query):
    client = api_client("admin")
    for address in every_address():
        url = f"{address.with_value(UNKNOWN_ID)}?{query}"
        if address.is_api:
            check_api(client.get(url), url)
        else:
            assert root.get(url).status_code < 500, url


@pytest.mark.slow
def test_a_body_of_three_megabytes_is_413_everywhere(api_client, root):
    client = api_client("admin")
    body = json.dumps({"x": "y" * 3_000_000})
    for address in every_address():
        url = address.with_value(UNKNOWN_ID)
        sender = client if address.is_api else root
        answer = sender.post(url, body, content_type="application/json")
        assert answer.status_code == 413, url
        if address.is_api:
            assert is_problem(answer)["code"] == "payload_too_large"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        ({}, 401, "unauthorized"),
        ({"Authorization": "Bearer venom_" + "x" * 43}, 401, "unauthorized"),
        ({"Authorization": "Bearer nonsense"}, 401, "unauthorized"),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, 401, "unauthorized"),
    ],
)
def test_without_a_good_key_every_call_is_401(db, header, status, code):
    client = Client(raise_request_exception=False, headers=header)
    for url, call in api.get_openapi_schema()["paths"].items():
        for method in call:
            answer = client.generic(
                method.upper(), url.replace("{", "").replace("}", "")
            )
            body = is_problem(answer)
            assert (answer.status_code, body["code"]) == (status, code), url
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.slow
def test_a_refused_scope_is_named(db):
    _, key = keys.create_key("bot", [Scope.INFERENCE], actor=SYSTEM)
    client = Client(headers={"Authorization": f"Bearer {key}"})

    body = is_problem(client.get("/api/v1/system/llm-servers"))

    assert body["code"] == "scope_missing"
    assert body["required_scope"] == "read"
    assert "“read”" in body["detail"]


@pytest.mark.slow
def test_no_page_breaks_under_unknown_and_garbage_ids(root):
    for address in page_routes():
        for url in address.with_each_of((UNKNOWN_ID, *GARBAGE)):
            for method in METHODS:
                if address.route == "/sign-out/" and method == "post":
                    continue
                check_page(getattr(root, method)(url), f"{method} {url}")


@pytest.mark.slow
def test_no_admin_page_breaks_under_unknown_and_garbage_ids(root):
    for address in every_address():
        if not address.is_admin or "logout" in address.route:
            continue
        for url in address.with_each_of((UNKNOWN_ID, *GARBAGE)):
            assert root.get(url).status_code < 500, url
            assert root.post(url).status_code < 500, url
            searched = root.get(url, {"q": "ä\u2028'\"%_", "status": "x"})
            assert searched.status_code < 500, url


def test_an_error_of_an_htmx_request_is_a_toast(root):
    answer = root.get("/runtimes/no-such-server/", HTTP_HX_REQUEST="true")

    assert answer.status_code == 404
    assert answer["HX-Retarget"] == "#toasts"
    assert answer["HX-Reswap"] == "beforeend"
    assert b"not_found" in answer.content
    assert b"<html" not in answer.content


def test_a_boosted_error_is_a_toast_too(root):
    answer = root.get("/no/such/page/", HTTP_HX_REQUEST="true", HTTP_HX_BOOSTED="true")

    assert answer.status_code == 404


@pytest.mark.parametrize("url", ["/api/v1/system/status", "/api/v1/openapi.json"])
def test_a_wrong_method_is_405_and_says_which_are_right(api_client, url):
    client = api_client("admin")
    answer = client.delete(url)

    assert is_problem(answer)["code"] == "method_not_allowed"
    head = client.head(url)
    assert (head.status_code, head.content) == (200, b"")
    options = client.options(url)
    assert options.status_code in (204, 405)


def test_a_wrong_method_on_a_page_is_a_page(root):
    answer = root.delete("/jump/")

    assert answer.status_code == 405
    assert "GET" in answer["Allow"]
    assert b"<h1>" in answer.content
    assert root.head("/help/").status_code == 200
    assert root.options("/jump/").status_code == 204


def test_an_unknown_address_of_the_api_is_a_problem(client):
    assert is_problem(client.get("/api/v1/nothing/here"))["code"] == "not_found"
    assert is_problem(client.get("/api/v1/"))["code"] == "not_found"


@pytest.mark.parametrize("url", ["/help/", "/api/v1/models", "/readyz"])
def test_a_foreign_host_is_400_and_not_repeated(client, url):
    answer = client.get(url, HTTP_HOST="evil.example")

    assert answer.status_code == 400
    assert b"evil.example" not in answer.content
    assert answer["X-Request-Id"]
    assert "default-src" in answer["Content-Security-Policy"]


def test_a_given_request_id_is_taken_over_and_a_strange_one_is_not(client):
    given = client.get("/help/", headers={"X-Request-Id": "abc-123456"})
    strange = client.get("/help/", headers={"X-Request-Id": "a b\tc" * 90})

    assert given["X-Request-Id"] == "abc-123456"
    assert len(strange["X-Request-Id"]) == 36


SECRET = "s3cr3t text of an exception"


@open_to_all
def _broken(request):
    raise RuntimeError(SECRET)


@open_to_all
def _database_away(request):
    raise DatabaseError(SECRET)


@open_to_all
def _refused(request):
    raise OperationConflict("It is taken.", operation_id=UNKNOWN_ID)


@open_to_all
def _too_many(request):
    raise TooManyRequests(retry_after=7)


@open_to_all
def _missing(request):
    raise Http404(SECRET)


def _broken_urls():
    module = types.ModuleType("tests.house.broken_urls")
    views = {
        "broken": _broken,
        "away": _database_away,
        "refused": _refused,
        "too-many": _too_many,
        "missing": _missing,
    }
    module.urlpatterns = [
        path(f"{before}{name}/", view)
        for name, view in views.items()
        for before in ("", "api/v1/")
    ] + [path("", include("venom_site.urls"))]
    for number in (400, 403, 404, 500):
        handler = {
            400: "bad_request",
            403: "permission_denied",
            404: "page_not_found",
            500: "server_error",
        }[number]
        setattr(module, f"handler{number}", f"venom_site.middleware.{handler}")
    return module


@pytest.fixture
def broken(settings):
    settings.ROOT_URLCONF = _broken_urls()
    return Client(raise_request_exception=False)


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("broken", 500, "internal_error"),
        ("away", 503, "database_unavailable"),
        ("refused", 409, "operation_conflict"),
        ("too-many", 429, "too_many_requests"),
        ("missing", 404, "not_found"),
    ],
)
def test_what_a_view_raises_keeps_its_status_and_never_its_text(
    broken, name, status, code, caplog
):
    call = broken.get(f"/api/v1/{name}/")
    page = broken.get(f"/{name}/")
    toast = broken.get(f"/{name}/", HTTP_HX_REQUEST="true")

    assert {call.status_code, page.status_code, toast.status_code} == {status}
    assert is_problem(call)["code"] == code
    assert b"<h1>" in page.content
    assert toast["HX-Retarget"] == "#toasts"
    for answer in (call, page, toast):
        assert SECRET.encode() not in answer.content
        assert answer["X-Request-Id"]
        assert "default-src" in answer["Content-Security-Policy"]
    words = {500: "unhandled error", 503: "database unavailable"}.get(status)
    logged = [r for r in caplog.records if r.name == "venom_site.lib.problems"]
    assert len(logged) == (3 if words else 0)
    assert all(words in record.getMessage() for record in logged)


def test_named_extras_and_retry_after_travel_with_a_problem(broken):
    assert is_problem(broken.get("/api/v1/refused/"))["operation_id"] == UNKNOWN_ID
    answer = broken.get("/api/v1/too-many/")
    assert answer["Retry-After"] == "7"
    assert "retry_after" not in is_problem(answer)
