"""Pages: the list of requests, what came since it was drawn, and one request."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from history_app.forms import RequestFilterForm
from history_app.models import RequestRecord
from history_app.schemas import hops_of, steps_of
from history_app.services import search
from history_app.services.search import Page
from history_app.services.timings import parts_of
from venom_site.lib.access import Principal, Scope, needs

PAGE_ROWS = 50
SLOW_SECONDS = 10
MORE_FIELDS = ("provider", "model", "min_duration", "key", "error_code", "session_id")
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@needs(Scope.READ)
@require_safe
def request_list(request: HttpRequest) -> HttpResponse:
    """Running requests on top of the first page, then the ended ones, newest first."""
    form = RequestFilterForm(request.GET)
    filters, cursor = form.filters(), request.GET.get("cursor", "")
    running = [] if cursor else search.running(filters, limit=PAGE_ROWS)
    page = search.page_of(filters, limit=PAGE_ROWS, cursor=cursor, is_finished=True)
    is_empty = not page.items and not running
    context = {
        "page": page,
        "running": running,
        "form": form,
        "more_fields": [form[name] for name in MORE_FIELDS],
        "given": form.given(),
        "saved_views": _saved_views(request.GET),
        "chips": _chips(request, form),
        "export_query": form.export_query(),
        "news_url": "" if cursor else _news_url(request, page),
        "last": RequestRecord.objects.newest_first().first() if is_empty else None,
        "live_topics": "requests",
    }
    return render(request, "history_app/request_list.html", context)


@needs(Scope.READ)
@require_safe
def request_news(request: HttpRequest) -> HttpResponse:
    """What a list that was drawn needs: the running ones, and how many ended since."""
    filters = RequestFilterForm(request.GET).filters()
    seen = _moment(request.GET.get("seen", ""))
    list_query = request.GET.copy()
    list_query.pop("seen", None)
    context = {
        "running": search.running(filters, limit=PAGE_ROWS),
        "news": search.ended_after(filters, seen),
        "news_url": request.get_full_path(),
        "list_url": _with_query(reverse("request-list"), list_query),
    }
    return render(request, "history_app/_request_news_answer.html", context)


def _saved_views(query: QueryDict) -> list[dict[str, object]]:
    """The views that one click shows; the present one is the address itself."""
    known = (
        (_("All"), ""),
        (_("Errors"), "status=FAILED"),
        (_("Fallbacks"), "fallback=1"),
        (_("Slow"), f"min_duration={SLOW_SECONDS}"),
        (_("Cloud"), "cloud=1"),
    )
    present = {name: value for name, value in query.items() if name != "cursor"}
    return [
        {
            "label": label,
            "query": words,
            "is_current": QueryDict(words).dict() == present,
        }
        for label, words in known
    ]


def _chips(request: HttpRequest, form: RequestFilterForm) -> list[dict[str, str]]:
    """What narrows the list, each with the address of the list without it."""
    chips = []
    for name, words in form.words().items():
        rest = request.GET.copy()
        for each in (name, "cursor"):
            rest.pop(each, None)
        chips.append({"words": words, "url": _with_query(request.path, rest)})
    return chips


def _news_url(request: HttpRequest, page: Page) -> str:
    """`seen` is the latest end on the page: what ends later is not on it."""
    ends = [row.finished_at for row in page.items if row.finished_at]
    query = request.GET.copy()
    query["seen"] = max(ends, default=LONG_AGO).isoformat()
    return _with_query(reverse("request-news"), query)


def _with_query(path: str, query: QueryDict) -> str:
    return f"{path}?{query.urlencode()}" if query else path


def _moment(text: str) -> datetime:
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    return moment if moment and moment.tzinfo else LONG_AGO


@needs(Scope.READ)
@require_safe
def request_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    record = get_object_or_404(RequestRecord, pk=pk)
    principal: Principal | None = getattr(request, "principal", None)
    may_view = bool(principal and principal.may_view_payload)
    context = {
        "record": record,
        "hops": hops_of(record),
        "steps": steps_of(record),
        "timings": parts_of(record),
        "contents_hidden": not may_view,
        "live_topics": f"request-{record.pk}",
    }
    return render(request, "history_app/request_detail.html", context)
