"""Pages: the list of requests and one of them."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from history_app.forms import RequestFilterForm
from history_app.models import RequestRecord
from history_app.schemas import hops_of
from history_app.services import search
from venom_site.lib.access import Principal, Scope, needs

PAGE_ROWS = 50


@needs(Scope.READ)
def request_list(request: HttpRequest) -> HttpResponse:
    """Running requests on top of the first page, then the ended ones, newest first."""
    filters = RequestFilterForm(request.GET).filters()
    cursor = request.GET.get("cursor", "")
    rows = search.filtered(RequestRecord.objects.all(), filters)
    running = [] if cursor else list(rows.running().newest_first()[:PAGE_ROWS])
    page = search.page_of(rows.finished(), limit=PAGE_ROWS, cursor=cursor)
    context = {
        "page": page,
        "running": running,
        "filters": filters,
        "live_topics": "requests",
    }
    return render(request, "history_app/request_list.html", context)


@needs(Scope.READ)
def request_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    record = get_object_or_404(RequestRecord, pk=pk)
    principal: Principal | None = getattr(request, "principal", None)
    may_view = bool(principal and principal.may_view_payload)
    context = {
        "record": record,
        "hops": hops_of(record),
        "parameters": record.parameters,
        "contents_hidden": not may_view,
        "live_topics": f"request-{record.pk}",
    }
    return render(request, "history_app/request_detail.html", context)
