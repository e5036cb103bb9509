"""One error, three faces: problem+json, a toast part, a page.

The wiring installs `as_response` as Django's and the API's error handler. An internal
error never shows its own text; a client's mistake always says what is wrong.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any, TypeVar

from django.core.exceptions import (
    BadRequest as DjangoBadRequest,
)
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from venom_site.lib import errors
from venom_site.lib.errors import VenomError
from venom_site.lib.logging import request_id

logger = logging.getLogger(__name__)

R = TypeVar("R", bound=HttpResponse)
CONTENT_TYPE = "application/problem+json"


def as_venom_error(error: BaseException) -> VenomError:
    """The product's own error for one that Django or a database raised."""
    if isinstance(error, VenomError):
        return error
    if isinstance(error, Http404):
        return errors.NotFound()
    if isinstance(error, PermissionDenied):
        return errors.Forbidden()
    if isinstance(error, RequestDataTooBig):
        return errors.PayloadTooLarge()
    if isinstance(error, SuspiciousOperation | DjangoBadRequest):
        return errors.BadRequest()
    if isinstance(error, DatabaseError):
        return errors.DatabaseAway()
    return VenomError()


def problem(error: VenomError) -> dict[str, Any]:
    """RFC 9457 members plus `code`, `request_id` and the error's named extras."""
    return {
        "type": f"urn:venom:error:{error.code}",
        "title": HTTPStatus(error.http_status).phrase,
        "status": error.http_status,
        "detail": str(error.message),
        "code": error.code,
        "request_id": request_id.get(),
    } | {name: value for name, value in error.extras.items() if name != "retry_after"}


def problem_response(error: VenomError) -> JsonResponse:
    response = JsonResponse(
        problem(error), status=error.http_status, content_type=CONTENT_TYPE
    )
    return _with_headers(response, error)


def as_response(request: HttpRequest, error: BaseException) -> HttpResponse:
    """The face that fits the caller: API, htmx or browser."""
    known = as_venom_error(error)
    if known.http_status >= 500 and not isinstance(error, VenomError):
        logger.error("unhandled error path=%s", request.path, exc_info=error)
    if request.path.startswith("/api/") and not request.path.startswith("/api/docs"):
        return problem_response(known)
    if getattr(request, "htmx", None):
        return _with_headers(_toast(request, known), known)
    return _with_headers(_page(request, known), known)


def _context(error: VenomError) -> dict[str, Any]:
    return {
        "error": error,
        "code": error.code,
        "detail": str(error.message),
        "status": error.http_status,
        "request_id": request_id.get(),
    }


def _toast(request: HttpRequest, error: VenomError) -> HttpResponse:
    response = render(
        request, "_problem.html", _context(error), status=error.http_status
    )
    response["HX-Retarget"] = "#toasts"
    response["HX-Reswap"] = "beforeend"
    return response


def _page(request: HttpRequest, error: VenomError) -> HttpResponse:
    name = {400: "400", 403: "403", 404: "404", 503: "503"}.get(error.http_status)
    if name is None:
        name = "400" if error.http_status < 500 else "500"
    try:
        return render(
            request, f"errors/{name}.html", _context(error), status=error.http_status
        )
    except DatabaseError:  # the shell itself asks the database for chip and counts
        text = _("%(detail)s (%(code)s)") % _context(error)
        return HttpResponse(text, status=error.http_status, content_type="text/plain")


def _with_headers(response: R, error: VenomError) -> R:
    if "retry_after" in error.extras:
        response["Retry-After"] = str(error.extras["retry_after"])
    if error.http_status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="venom"'
    return response
