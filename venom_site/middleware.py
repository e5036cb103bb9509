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

from django.conf import settings
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
)
from django.urls import reverse
from django.utils.translation import gettext as _

from models_app.services import idempotency
from runtime_app.governance import keys
from venom_site.lib import errors, problems
from venom_site.lib.access import Principal, Scope, require
from venom_site.lib.ids import uuid7
from venom_site.lib.logging import channel, request_id

GetResponse = Callable[[HttpRequest], HttpResponseBase]
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestIdMiddleware:
    """Take a well-formed `X-Request-Id` over, else make one; send it back."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-Id", "")
        mark = request_id.set(given if _GIVEN_ID.fullmatch(given) else str(uuid7()))
        door = channel.set(_channel(request.path))
        try:
            response = self.get_response(request)
            response["X-Request-Id"] = request_id.get()
        finally:
            channel.reset(door)
            request_id.reset(mark)
        return response


def _channel(path: str) -> str:
    if path.startswith("/api/"):
        return "api"
    return "admin" if path.startswith("/admin/") else "page"


class BoundsMiddleware:
    """Refuse at the door what no view could use: too large, or with a NUL in it.

    Django measures a body only when something reads it, and PostgreSQL takes no NUL.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        error = _out_of_bounds(request)
        return problems.as_response(request, error) if error else self._go_on(request)

    def _go_on(self, request: HttpRequest) -> HttpResponseBase:
        """HEAD of an API call is its GET without the body, which servers leave out."""
        is_head = request.method == "HEAD" and problems.is_api(request.path)
        if is_head:
            request.method = "GET"
        response = self.get_response(request)
        if is_head:
            request.method = "HEAD"
        return response


def _out_of_bounds(request: HttpRequest) -> errors.VenomError | None:
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isascii() or not length.isdigit():
        return errors.BadRequest(_("The length of the body is not a number."))
    if int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        return errors.PayloadTooLarge()
    if "\0" in request.path:
        return errors.NotFound()
    message = _("This value holds a NUL character.")
    flawed = [name for name, value in request.GET.items() if "\0" in f"{name}{value}"]
    if not flawed:
        return None
    places = [{"loc": f"query.{name}", "message": message} for name in flawed]
    return errors.BadRequest(errors=places)


class PrincipalMiddleware:
    """Set `request.principal` from the bearer key (API) or the session (pages, API)."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            request.principal = _principal(request)  # type: ignore[attr-defined]
        except errors.VenomError as error:
            return problems.as_response(request, error)
        return self.get_response(request)


def _principal(request: HttpRequest) -> Principal | None:
    """`/readyz` must answer while the database hangs, so nobody is looked up there."""
    return None if request.path == "/readyz" else keys.principal_of(request)


class ProblemMiddleware:
    """Give errors of views, and bare error answers of Django, their proper face."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code < 400 or not _is_bare(request, response):
            return response
        allow = response.headers.get("Allow", "")
        if request.method == "OPTIONS" and response.status_code == 405:
            return HttpResponse(status=204, headers={"Allow": f"{allow}, OPTIONS"})
        answer = problems.as_response(request, _bare_error(response.status_code))
        if allow:
            answer["Allow"] = allow
        return answer

    def process_exception(
        self, request: HttpRequest, error: Exception
    ) -> HttpResponse | None:
        return problems.as_response(request, error)


def _is_bare(request: HttpRequest, response: HttpResponseBase) -> bool:
    """An answer that Django or ninja made by themselves, without a face of ours."""
    if problems.is_api(request.path):
        kind = response.headers.get("Content-Type", "")
        return not kind.startswith(problems.CONTENT_TYPE)
    return response.status_code == 405


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
        if problems.is_api(request.path) or getattr(view, "open_to_all", False):
            return None
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        if request.path.startswith("/admin/"):
            if request.user.is_staff:
                return None
            raise errors.Forbidden(
                _("The administration is for staff. An administrator can let you in.")
            )
        scope: Scope = getattr(view, "required_scope", Scope.ADMIN)
        require(request.principal, scope)  # type: ignore[attr-defined]
        return None


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    """Back to the same page afterwards; a POST cannot be repeated by a redirect."""
    is_safe = request.method in ("GET", "HEAD")
    following = request.get_full_path() if is_safe else reverse("overview")
    target = f"{reverse('sign-in')}?{urlencode({'next': following})}"
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
    return problems.as_response(request, errors.Forbidden(message, csrf=True))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problems.as_response(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problems.as_response(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problems.as_response(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    return problems.as_response(request, sys.exc_info()[1] or errors.VenomError())
