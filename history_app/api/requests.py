"""GET `/history/requests` and `/history/requests/{id}`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Query, Router, Schema
from pydantic import AfterValidator, Field

from history_app.choices import RequestStatus
from history_app.schemas import request_detail, request_payload
from history_app.services import search
from venom_site.lib.access import Principal
from venom_site.lib.errors import NotFound

router = Router()


def _aware(moment: datetime) -> datetime:
    """A time without a zone means UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(_aware)]
Word = Annotated[str, Field(max_length=250)]


class RequestQuery(Schema):
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
    q: Word = ""
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str = ""

    def filters(self) -> search.RequestFilters:
        fields = self.model_dump(exclude={"limit", "cursor", "status"})
        return search.RequestFilters(**fields, status=self.status or "")


@router.get("/requests", summary="List requests, newest first")
def list_requests(request: HttpRequest, query: Query[RequestQuery]) -> dict[str, Any]:
    """Newest first; `next` is the cursor of the page of older ones."""
    principal = _principal(request)
    rows = search.filtered(search.visible_to(principal), query.filters())
    page = search.page_of(rows, limit=query.limit, cursor=query.cursor)
    may_view = bool(principal and principal.may_view_payload)
    return {
        "success": True,
        "requests": [
            request_payload(record, may_view_payload=may_view) for record in page.items
        ],
        "next": page.next_cursor,
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
