"""Pages of runtimes: all of them, one of them, the active one, and adding one."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from runtime_app.choices import PROFILE_KINDS
from runtime_app.forms import AddServerForm
from runtime_app.monitoring import health
from runtime_app.services import active, runtimes
from runtime_app.views.cards import all_cards, cards
from venom_site.lib.access import Scope, needs

TOPICS = "ops,runtimes"


def _list_context(form: AddServerForm) -> dict[str, Any]:
    return {
        "runtimes": all_cards(),
        "form": form,
        "has_local_runtimes": bool(PROFILE_KINDS[settings.RUNTIME_PROFILE]),
        "live_topics": TOPICS,
    }


@needs(Scope.READ)
@require_safe
def runtime_list(request: HttpRequest) -> HttpResponse:
    context = _list_context(AddServerForm())
    return render(request, "runtime_app/runtime_list.html", context)


@needs(Scope.READ)
@require_safe
def runtime_detail(request: HttpRequest, name: str) -> HttpResponse:
    row = runtimes.get_runtime(name)
    context = {"runtime": cards([row])[0], "live_topics": TOPICS}
    return render(request, "runtime_app/runtime_detail.html", context)


@needs(Scope.READ)
@require_safe
def runtime_active(request: HttpRequest) -> HttpResponse:
    """The page of the runtime that answers now; with none active, all of them."""
    activation = active.active_activation()
    if activation is None:
        messages.info(request, _("No model is active yet. Choose one here."))
        return redirect("runtime-list")
    return redirect(activation.runtime)


@needs(Scope.OPERATE)
@require_POST
def runtime_add(request: HttpRequest) -> HttpResponse:
    form = AddServerForm(request.POST)
    if form.is_valid() and _added(request, form):
        return HttpResponseRedirect(reverse("runtime-list"))
    context = _list_context(form)
    return render(request, "runtime_app/runtime_list.html", context, status=422)


def _added(request: HttpRequest, form: AddServerForm) -> bool:
    """Add the server and look at it once; a taken name is an error of the form."""
    try:
        row = runtimes.add_server(
            form.cleaned_data["name"],
            form.cleaned_data["base_url"],
            form.cleaned_data["key"],
            actor=request.principal,  # type: ignore[attr-defined]
        )
    except runtimes.NameTaken as error:
        form.add_error("name", str(error))
        return False
    row = health.check_runtime(row)
    words = _("Added %(name)s: %(status)s.")
    status = row.get_status_display()
    messages.success(request, words % {"name": row.name, "status": status})
    return True
