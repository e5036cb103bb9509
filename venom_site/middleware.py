"""What every Django request passes: id, principal, sign-in, problems, idempotency.

Composition only: who turns a key or session into a principal, and how an answer is
kept, stands in the apps. The gateway never comes here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
)
from django.urls import reverse
from django.utils.translation import gettext as _

from history_app import audit
from models_app.services import idempotency
from runtime_app.governance import keys
from venom_site.lib import errors, problems
from venom_site.lib.access import Scope, require
from venom_site.lib.ids import uuid7
from venom_site.lib.logging import request_id

GetResponse = Callable[[HttpRequest], HttpResponseBase]
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestIdMiddleware:
    """Take a well-formed `X-Request-Id` over, else make one; send it back."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-Id", "")
        mark = request_id.set(given if _GIVEN_ID.fullmatch(given) else str(uuid7()))
        door = audit.channel.set(_channel(request.path))
        try:
            response = self.get_response(request)
            response["X-Request-Id"] = request_id.get()
        finally:
            audit.channel.reset(door)
            request_id.reset(mark)
        return response


def _channel(path: str) -> str:
    if path.startswith("/api/"):
        return "api"
    return "admin" if path.startswith("/admin/") else "page"


class PrincipalMiddleware:
    """Set `request.principal` from the bearer key (API) or the session (pages, API)."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            request.principal = keys.principal_of(request)  # type: ignore[attr-defined]
        except errors.VenomError as error:
            return problems.as_response(request, error)
        return self.get_response(request)


class ProblemMiddleware:
    """Give errors of views, and bare error answers of the API, their proper face."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        is_api = request.path.startswith("/api/v1/")
        if not is_api or response.status_code < 400:
            return response
        if response.headers.get("Content-Type", "").startswith(problems.CONTENT_TYPE):
            return response
        allow = response.headers.get("Allow")
        answer = problems.problem_response(_bare_error(response.status_code))
        if allow:
            answer["Allow"] = allow
        return answer

    def process_exception(
        self, request: HttpRequest, error: Exception
    ) -> HttpResponse | None:
        return problems.as_response(request, error)


def _bare_error(status: int) -> errors.VenomError:
    known = {
        401: errors.Unauthorized,
        403: errors.Forbidden,
        404: errors.NotFound,
        405: errors.MethodNotAllowed,
        413: errors.PayloadTooLarge,
        503: errors.NotReady,
    }
    fallback = errors.BadRequest if status < 500 else errors.VenomError
    return known.get(status, fallback)()


class SignInRequiredMiddleware:
    """Pages: to the sign-in page when signed out, 403 without the view's scope.

    A view says what it needs with `@needs(...)` or `@open_to_all`; one that says
    nothing is refused, so that none can be forgotten.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        if request.path.startswith("/api/v1/") or getattr(view, "open_to_all", False):
            return None
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        if request.path.startswith("/admin/"):
            if request.user.is_staff:
                return None
            raise errors.Forbidden(_("The admin is for staff. An admin can grant it."))
        scope: Scope = getattr(view, "required_scope", Scope.ADMIN)
        require(request.principal, scope)  # type: ignore[attr-defined]
        return None


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    target = f"{reverse('sign-in')}?{urlencode({'next': request.get_full_path()})}"
    if getattr(request, "htmx", None):
        return HttpResponse(status=204, headers={"HX-Redirect": target})
    return HttpResponseRedirect(target)


class IdempotencyMiddleware:
    """`Idempotency-Key` on a POST of the API: the same wish gets the first answer."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        key = request.headers.get("Idempotency-Key")
        principal = getattr(request, "principal", None)
        is_api_post = request.method == "POST" and request.path.startswith("/api/v1/")
        if key is None or principal is None or not is_api_post:
            return self.get_response(request)
        try:
            return idempotency.answer_once(request, principal, key, self.get_response)
        except errors.VenomError as error:
            return problems.as_response(request, error)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    message = _("The form has expired. Load the page again and repeat the action.")
    return problems.as_response(request, errors.Forbidden(message))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problems.as_response(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problems.as_response(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problems.as_response(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    return problems.as_response(request, sys.exc_info()[1] or errors.VenomError())
