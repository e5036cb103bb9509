"""Jump: one field that finds pages, runtimes, operations and requests.

Only what can be found by an index or in a small table is searched, so that the answer
stays quick with millions of requests.
"""

from __future__ import annotations

import re
from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from history_app.models import RequestRecord
from models_app.models import InstalledModel, Operation
from runtime_app.models import Runtime
from venom_site.lib.access import Scope, needs
from venom_site.lib.folded import is_text

MOST = 8
_HEX_PREFIX = re.compile(r"[0-9a-f]{4,32}", re.IGNORECASE)

Link = dict[str, str]


@needs(Scope.READ)
@require_safe
def jump(request: HttpRequest) -> HttpResponse:
    text = request.GET.get("q", "").strip()[:200]
    found = [
        (_("Pages"), _pages(text)),
        (_("Runtimes"), _runtimes(text)),
        (_("Models"), _models(text)),
        (_("Operations"), _operations(text)),
        (_("Requests"), _requests(text)),
    ]
    groups = [{"title": title, "links": links} for title, links in found if links]
    return render(request, "jump.html", {"jump_query": text, "groups": groups})


def _pages(text: str) -> list[Link]:
    titles = {
        "overview": _("Overview"),
        "model-list": _("Models"),
        "runtime-list": _("Runtimes"),
        "operation-list": _("Operations"),
        "request-list": _("Requests"),
        "help": _("Help"),
        "api-docs": _("The API, call by call"),
    }
    wanted = text.lower()
    return [
        {"url": reverse(name), "text": title}
        for name, title in titles.items()
        if title.lower().startswith(wanted)
    ]


def _runtimes(text: str) -> list[Link]:
    rows = Runtime.objects.of_profile().in_order()
    named = Q(name__istartswith=text) | Q(display_name__istartswith=text)
    return [
        {"url": row.get_absolute_url(), "text": row.display_name, "note": row.base_url}
        for row in rows.filter(named)[:MOST]
    ]


def _models(text: str) -> list[Link]:
    """What is installed, then what other servers listed last, each on its page."""
    if not text:
        return []
    rows = InstalledModel.objects.of_profile().filter(name__istartswith=text)
    installed = [
        {
            "url": row.get_absolute_url(),
            "text": row.name,
            "note": row.get_provider_display(),
        }
        for row in rows[:MOST]
    ]
    held = {link["text"] for link in installed}
    served = [link for link in _served(text) if link["text"] not in held]
    return [*installed, *served][:MOST]


def _served(text: str) -> list[Link]:
    return [
        {
            "url": row.get_absolute_url(),
            "text": model["name"],
            "note": row.display_name,
        }
        for row in Runtime.objects.of_profile().in_order()
        for model in row.served_models
        if model["name"].lower().startswith(text.lower())
    ][:MOST]


def _operations(text: str) -> list[Link]:
    if not text:
        return []
    wanted = Q(model_name__istartswith=text) | id_range(text)
    rows = Operation.objects.filter(wanted).newest_first()[:MOST]
    return [
        {"url": row.get_absolute_url(), "text": row.title, "note": _status(row)}
        for row in rows
    ]


def _status(row: Operation | RequestRecord) -> str:
    return str(row.get_status_display())


def _requests(text: str) -> list[Link]:
    if not text:
        return []
    wanted = is_text("request_id", text) | id_range(text)
    rows = RequestRecord.objects.filter(wanted).newest_first()[:MOST]
    return [
        {
            "url": row.get_absolute_url(),
            "text": row.llm_model or row.requested_model or row.request_id,
            "note": f"{row.request_id} · {_status(row)}",
        }
        for row in rows
    ]


def id_range(text: str) -> Q:
    """Ids that begin with `text` as a range, which an index answers on both
    databases; nothing when `text` cannot begin an id."""
    digits = text.replace("-", "")
    if not _HEX_PREFIX.fullmatch(digits):
        return Q(pk__in=[])
    first, last = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
    return Q(pk__gte=first, pk__lte=last)
