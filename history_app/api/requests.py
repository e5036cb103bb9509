"""GET `/history/requests`, its export and `/history/requests/{id}`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Query, Router, Schema
from pydantic import AfterValidator, Field

from history_app.choices import RequestStatus
from history_app.schemas import request_detail, request_payload
from history_app.services import search
from history_app.services.export import CONTENT_TYPES, ExportFormat, export
from history_app.services.filters import RequestFilters
from venom_site.lib.access import Principal
from venom_site.lib.errors import BadRequest, NotFound
from venom_site.lib.units import iso

router = Router()


def _aware(moment: datetime) -> datetime:
    """A time without a zone means UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(_aware)]
Word = Annotated[str, Field(max_length=250)]


class RequestFilterQuery(Schema):
    status: RequestStatus | None = None
    provider: Word = ""
    model: Word = ""
    since: Moment | None = None
    until: Moment | None = None
    min_duration: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    error_code: Word = ""
    key: Word = ""
    session_id: Word = ""
    fallback: bool | None = None
    cloud: bool = False
    q: Word = ""

    def filters(self) -> RequestFilters:
        given = self.model_dump(include=set(RequestFilterQuery.model_fields))
        given |= {"status": self.status or "", "is_cloud": given.pop("cloud")}
        return RequestFilters(**given)


class RequestQuery(RequestFilterQuery):
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str = ""


class ExportQuery(RequestFilterQuery):
    format: ExportFormat | None = None  # required, but access is asked for first


@router.get("/requests", summary="List requests, newest first")
def list_requests(request: HttpRequest, query: Query[RequestQuery]) -> dict[str, Any]:
    """Newest first; `next` is the cursor of the page of older ones.

    Filters that no single index answers look at 20,000 rows: then `complete` is false,
    `scanned_until` says how far back, and `next` goes on from there.
    """
    principal = _principal(request)
    wanted = search.seen_by(principal, query.filters())
    page = search.page_of(wanted, limit=query.limit, cursor=query.cursor)
    may_view = bool(principal and principal.may_view_payload)
    return {
        "success": True,
        "requests": [
            request_payload(record, may_view_payload=may_view) for record in page.items
        ],
        "next": page.next_cursor,
        "complete": page.complete,
        "scanned_until": iso(page.scanned_until),
    }


@router.get("/requests/export", summary="Export requests")
def export_requests(
    request: HttpRequest, query: Query[ExportQuery]
) -> HttpResponse | StreamingHttpResponse:
    """All that match as CSV or JSON lines, newest first, of any length."""
    principal = _principal(request)
    wanted = search.seen_by(principal, query.filters())
    if query.format is None:
        words = _("Say the format: csv or jsonl.")
        complaint = {"loc": "query.format", "message": words}
        raise BadRequest(words, errors=[complaint])
    may_view = bool(principal and principal.may_view_payload)
    headers = _file_headers(query.format)
    if request.META["REQUEST_METHOD"] == "HEAD":  # a server would drop every page
        return HttpResponse(headers=headers)
    rows = export(wanted, query.format, may_view_payload=may_view)
    close_old_connections()  # the thread is kept as long as the stream is
    return StreamingHttpResponse(rows, headers=headers)


def _file_headers(form: ExportFormat) -> dict[str, str]:
    name = f"venom-requests-{timezone.now():%Y%m%dT%H%M%SZ}.{form.value}"
    return {
        "Content-Type": CONTENT_TYPES[form],
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
        # Django gzips each part by itself; httpx, for one, reads only the first.
        "Content-Encoding": "identity",
    }


@router.get("/requests/{identifier}", summary="Look at one request")
def show_request(request: HttpRequest, identifier: str) -> dict[str, Any]:
    """One request with its steps, hops, parameters and routing decision."""
    principal = _principal(request)
    record = search.find(search.visible_to(principal), identifier)
    if record is None:
        raise NotFound(_("There is no such request, or it is not yours to see."))
    may_view = bool(principal and principal.may_view_payload)
    return {"success": True, **request_detail(record, may_view_payload=may_view)}


def _principal(request: HttpRequest) -> Principal | None:
    principal: Principal | None = getattr(request, "principal", None)
    return principal
