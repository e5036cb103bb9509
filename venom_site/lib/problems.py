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
    ValidationError,
)
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    ProgrammingError,
)
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    JsonResponse,
    UnreadablePostError,
)
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import render
from django.utils.translation import gettext as _

from venom_site.lib import errors
from venom_site.lib.errors import VenomError
from venom_site.lib.logging import request_id

logger = logging.getLogger(__name__)

R = TypeVar("R", bound=HttpResponse)
CONTENT_TYPE = "application/problem+json"
METRICS = "/metrics"  # outside the API, where Prometheus looks


# Read from above: the first row that fits says what an error of Django's, or of a
# database, means to the caller. A value that does not fit a column is the caller's
# mistake, a broken constraint or query is ours; anything else is a database away.
MEANINGS: tuple[tuple[tuple[type[BaseException], ...], type[VenomError]], ...] = (
    ((Http404,), errors.NotFound),
    ((PermissionDenied,), errors.Forbidden),
    ((RequestDataTooBig,), errors.PayloadTooLarge),
    ((SuspiciousOperation, DjangoBadRequest), errors.BadRequest),
    ((MultiPartParserError, UnreadablePostError, DataError), errors.BadRequest),
    ((IntegrityError, ProgrammingError), VenomError),
    ((DatabaseError, InterfaceError), errors.DatabaseAway),
)


def as_venom_error(error: BaseException) -> VenomError:
    """The product's own error for one that Django or a database raised."""
    if isinstance(error, VenomError):
        return error
    if isinstance(error, ValidationError):
        return errors.InvalidBody(errors=complaints(error))
    for kinds, meaning in MEANINGS:
        if isinstance(error, kinds):
            return meaning()
    return VenomError()


def complaints(error: ValidationError) -> list[dict[str, str]]:
    """`[{loc, message}]` of a model's or form's refusal."""
    if not hasattr(error, "error_dict"):
        return [{"loc": "", "message": message} for message in error.messages]
    return [
        {"loc": field.removeprefix("__all__"), "message": message}
        for field, messages in error.message_dict.items()
        for message in messages
    ]


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


def is_api(path: str) -> bool:
    """Whether programs ask at `path`; the API browser is a page."""
    if path == METRICS:
        return True
    return path.startswith("/api/") and not path.startswith("/api/docs")


def problem_response(error: VenomError) -> JsonResponse:
    response = JsonResponse(
        problem(error), status=error.http_status, content_type=CONTENT_TYPE
    )
    return _with_headers(response, error)


def _log(request: HttpRequest, error: BaseException, known: VenomError) -> None:
    """A database that is away says so in a line; what nobody foresaw, in full."""
    if isinstance(known, errors.DatabaseAway):
        logger.warning("database unavailable path=%s %s", request.path, error)
    elif known.http_status >= 500:
        logger.error("unhandled error path=%s", request.path, exc_info=error)


def as_response(request: HttpRequest, error: BaseException) -> HttpResponse:
    """The face that fits the caller: API, htmx or browser."""
    known = as_venom_error(error)
    if known is not error:
        _log(request, error, known)
    if is_api(request.path):
        return problem_response(known)
    if getattr(request, "htmx", None):
        return _with_headers(_toast(request, known), known)
    return _with_headers(_page(request, known), known)


def _toast(request: HttpRequest, error: VenomError) -> HttpResponse:
    context = {"problem": problem(error)}
    response = render(request, "_problem.html", context, status=error.http_status)
    response["HX-Retarget"] = "#toasts"
    response["HX-Reswap"] = "beforeend"
    return response


def _template(error: VenomError) -> str:
    if error.extras.get("csrf"):
        return "errors/csrf.html"
    status = error.http_status
    if status in (400, 403, 404, 500, 503):
        return f"errors/{status}.html"
    return "errors/400.html" if status < 500 else "errors/500.html"


def _page(request: HttpRequest, error: VenomError) -> HttpResponse:
    context = problem(error)
    try:
        return render(request, _template(error), context, status=error.http_status)
    except DatabaseError:  # the shell itself asks the database for chip and counts
        text = _("%(detail)s (%(code)s)") % context
        return HttpResponse(text, status=error.http_status, content_type="text/plain")


def _with_headers(response: R, error: VenomError) -> R:
    if "retry_after" in error.extras:
        response["Retry-After"] = str(error.extras["retry_after"])
    if error.http_status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="venom"'
    return response
