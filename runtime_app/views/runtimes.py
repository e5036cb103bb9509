"""Pages of runtimes: all of them, one of them with its tabs, the active one."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from runtime_app.choices import PROFILE_KINDS
from runtime_app.forms import AddServerForm
from runtime_app.services import active, runtimes, server_log
from runtime_app.views.cards import all_cards, cards
from runtime_app.views.runtime_tabs import tab_named, tabs_of
from venom_site.lib.access import Scope, needs
from venom_site.lib.htmx import wants_part

TOPICS = "ops,runtimes,models"
LOG_PART = "runtime_app/_server_log.html"


def list_context(form: AddServerForm) -> dict[str, Any]:
    return {
        "runtimes": all_cards(),
        "form": form,
        "has_local_runtimes": bool(PROFILE_KINDS[settings.RUNTIME_PROFILE]),
        "live_topics": TOPICS,
    }


@needs(Scope.READ)
@require_safe
def runtime_list(request: HttpRequest) -> HttpResponse:
    context = list_context(AddServerForm())
    return render(request, "runtime_app/runtime_list.html", context)


@needs(Scope.READ)
@require_safe
@vary_on_headers("HX-Request")
def runtime_detail(request: HttpRequest, name: str) -> HttpResponse:
    """One tab of its page; `?tab=` names it, anything else is the first. A script that
    follows the log is given its lines alone."""
    row = runtimes.get_runtime(name)
    tabs = tabs_of(row)
    tab = tab_named(request.GET.get("tab", ""), tabs)
    if tab.key == "log" and wants_part(request):  # each second while it is followed
        return render(request, LOG_PART, tab.context(row, request.GET))
    context = {
        "runtime": cards([row])[0],
        "row": row,
        "tabs": tabs,
        "tab": tab,
        "live_topics": TOPICS,
    }
    context |= tab.context(row, request.GET)
    return render(request, "runtime_app/runtime_detail.html", context)


@needs(Scope.READ)
@require_safe
def runtime_log(request: HttpRequest, name: str) -> HttpResponse:
    """The log as a file to keep."""
    row = runtimes.get_runtime(name)
    lines = server_log.whole_log(row, previous=request.GET.get("run") == "previous")
    return HttpResponse(
        "".join(f"{line}\n" for line in lines),
        content_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{row.name}.log"'},
    )


@needs(Scope.READ)
@require_safe
def runtime_active(request: HttpRequest) -> HttpResponse:
    """The page of the runtime that answers now; with none active, all of them."""
    activation = active.active_activation()
    if activation is None:
        messages.info(request, _("No model is active yet. Choose one here."))
        return redirect("runtime-list")
    return redirect(activation.runtime)
