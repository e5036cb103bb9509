"""The JSON API `/api/v1`: composition of the apps' routers, one error shape.

A path belongs to the contract, the verb to an app: routers of every app are mounted
here under the contract's prefixes.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.utils import check_csrf

from history_app.api import requests as history_requests
from models_app.api import operations
from runtime_app.api import activation, system
from venom_site.lib import problems
from venom_site.lib.access import Principal, Scope, needs
from venom_site.lib.errors import (
    BadRequest,
    Forbidden,
    InvalidBody,
    NotFound,
    Unauthorized,
    VenomError,
)

_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def authenticate(request: HttpRequest) -> Principal:
    """The principal of key or session; a session that changes something needs CSRF."""
    principal: Principal | None = getattr(request, "principal", None)
    if principal is None:
        raise Unauthorized
    if principal.kind == "user" and request.method in _UNSAFE and check_csrf(request):
        raise Forbidden("The CSRF token is missing or wrong.", csrf=True)
    return principal


api = NinjaAPI(
    title="Venom",
    version="1",
    description="Find, install, activate, serve, measure and remove models.",
    auth=authenticate,
    docs_url=None,
    openapi_url="/openapi.json",
    urls_namespace="api",
)
api.add_router("/models/operations", operations.router, tags=["operations"])
api.add_router("/models", activation.router, tags=["models"])
api.add_router("/system", system.router, tags=["runtimes"])
api.add_router("/history", history_requests.router, tags=["requests"])


@needs(Scope.READ)
def docs(request: HttpRequest) -> HttpResponse:
    """The API browser, from our own files."""
    return render(request, "api_docs.html")


def _complaints(error: ValidationError) -> list[dict[str, str]]:
    """`[{loc, message}]`; what was sent is not repeated."""
    return [
        {"loc": ".".join(str(part) for part in item["loc"]), "message": item["msg"]}
        for item in error.errors
    ]


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    places = {str(item["loc"][0]) for item in error.errors}
    if places == {"path"}:
        return problems.problem_response(NotFound())
    kind: type[VenomError] = InvalidBody if "body" in places else BadRequest
    return problems.problem_response(kind(errors=_complaints(error)))


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    if error.status_code == 400:
        return problems.problem_response(BadRequest("The body is not JSON."))
    return HttpResponse(status=error.status_code)


@api.exception_handler(Exception)
def _any(request: HttpRequest, error: Any) -> HttpResponse:
    return problems.as_response(request, error)
