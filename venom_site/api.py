"""The JSON API `/api/v1`: composition of the apps' routers, one error shape.

A path belongs to the contract, the verb to an app: routers of every app are mounted
here under the contract's prefixes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.parser import Parser
from ninja.utils import check_csrf

from history_app.api import requests as history_requests
from models_app.api import (
    catalog,
    details,
    install,
    models,
    news,
    operations,
    prepare,
)
from runtime_app.api import (
    activation,
    alerts,
    memory,
    parameters,
    servers,
    sessions,
    system,
    tasks,
    trials,
)
from runtime_app.api import models as listed_models
from venom_site.lib import problems
from venom_site.lib.access import Principal, Scope, needs, require
from venom_site.lib.errors import (
    BadRequest,
    Forbidden,
    InvalidBody,
    MethodNotAllowed,
    NotFound,
    Unauthorized,
    VenomError,
)

_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
PYDANTIC_SAYS = "Value error, "  # before every sentence of a validator


def authenticate(request: HttpRequest) -> Principal:
    """The principal of key or session; a session that changes something needs CSRF."""
    principal: Principal | None = getattr(request, "principal", None)
    if principal is None:
        raise Unauthorized
    if principal.kind == "user" and request.method in _UNSAFE and check_csrf(request):
        raise Forbidden(_("The CSRF token is missing or wrong."), csrf=True)
    return principal


def _for_readers(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Ninja's own view of the OpenAPI document asks nobody who they are."""

    def guarded(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if request.method != "GET":
            raise MethodNotAllowed
        require(authenticate(request), Scope.READ)
        return view(request, **kwargs)

    return guarded


class StrictJson(Parser):
    """JSON as RFC 8259 has it, and only text that can be stored and sent again."""

    def parse_body(self, request: HttpRequest) -> Any:
        try:
            body = request.body.decode()
            parsed = json.loads(body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise BadRequest(_("The body is not JSON.")) from error
        if "\\u" in body and not _is_storable(parsed):
            raise BadRequest(_("The body holds a character that is not text."))
        return parsed


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _is_storable(value: Any) -> bool:
    """Only an escape can smuggle in a NUL or half a character (a lone surrogate)."""
    if isinstance(value, dict):
        return all(_is_storable(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return all(map(_is_storable, value))
    if not isinstance(value, str):
        return True
    return not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value)


api = NinjaAPI(
    title="Venom",
    version="1",
    description="Find, install, activate, serve, measure and remove models.",
    auth=authenticate,
    docs_url=None,
    docs_decorator=_for_readers,
    parser=StrictJson(),
    openapi_url="/openapi.json",
    urls_namespace="api",
)
api.add_router("/models/operations", operations.router, tags=["operations"])
api.add_router("/models", install.router, tags=["models"])
api.add_router("/models", catalog.router, tags=["models"])
api.add_router("/models", details.router, tags=["models"])
api.add_router("/models", news.router, tags=["models"])
api.add_router("/models", prepare.router, tags=["models"])
api.add_router("/models", activation.router, tags=["models"])
api.add_router("/models", listed_models.router, tags=["models"])
api.add_router("/models", memory.router, tags=["models"])
api.add_router("/models", models.router, tags=["models"])
api.add_router("/system", system.router, tags=["runtimes"])
api.add_router("/system", servers.router, tags=["runtimes"])
api.add_router("/alerts", alerts.router, tags=["alerts"])
api.add_router("/tasks", tasks.router, tags=["tasks"])
api.add_router("/sessions", sessions.router, tags=["tasks"])
api.add_router("/history", history_requests.router, tags=["requests"])
# Last, since a name matches anything: every fixed path under /models stands above it.
api.add_router("/models", parameters.router, tags=["models"])
api.add_router("/models", trials.router, tags=["models"])
api.add_router("/models", models.named, tags=["models"])


@needs(Scope.READ)
def docs(request: HttpRequest) -> HttpResponse:
    """The API browser, from our own files."""
    return render(request, "api_docs.html")


def _place(loc: tuple[int | str, ...]) -> str:
    """`body.seconds`; the name of our own argument between the two says nothing."""
    if len(loc) > 2 and loc[0] == "body":
        loc = (loc[0], *loc[2:])
    return ".".join(map(str, loc))


def _complaints(error: ValidationError) -> list[dict[str, str]]:
    """`[{loc, message}]`; what was sent is not repeated."""
    return [
        {"loc": _place(item["loc"]), "message": item["msg"].removeprefix(PYDANTIC_SAYS)}
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
    """What the parser refused comes wrapped; the middleware faces bare answers."""
    if error.__cause__ is not None:
        return problems.as_response(request, error.__cause__)
    return HttpResponse(status=error.status_code)


@api.exception_handler(Exception)
def _any(request: HttpRequest, error: Any) -> HttpResponse:
    return problems.as_response(request, error)
