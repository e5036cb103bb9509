"""Adding, changing and removing a server that people keep here by its address."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from runtime_app.forms import AddServerForm, ChangeServerForm
from runtime_app.models import Runtime
from runtime_app.monitoring import health
from runtime_app.services import added_servers, runtimes
from runtime_app.views.cards import cards
from runtime_app.views.runtimes import list_context
from venom_site.lib.access import Scope, needs, require
from venom_site.lib.htmx import VenomRequest


@needs(Scope.OPERATE)
@require_POST
def runtime_add(request: VenomRequest) -> HttpResponse:
    form = AddServerForm(request.POST)
    if form.is_valid() and _added(request, form):
        return HttpResponseRedirect(reverse("runtime-list"))
    context = list_context(form)
    return render(request, "runtime_app/runtime_list.html", context, status=422)


def _added(request: VenomRequest, form: AddServerForm) -> bool:
    """Add the server and look at it once; a taken name is an error of the form."""
    try:
        row = runtimes.add_server(
            form.cleaned_data["name"],
            form.cleaned_data["base_url"],
            form.cleaned_data["key"],
            actor=require(request.principal, Scope.OPERATE),
        )
    except runtimes.NameTaken as error:
        form.add_error("name", str(error))
        return False
    _looked_at(request, row, _("Added %(name)s: %(status)s."))
    return True


@needs(Scope.OPERATE)
@require_http_methods(["GET", "HEAD", "POST"])
def runtime_change(request: VenomRequest, name: str) -> HttpResponse:
    """Another address or key; GET shows the form and the way to remove the server."""
    row = runtimes.get_runtime(name)
    if request.method != "POST":
        form = ChangeServerForm(initial={"base_url": row.base_url})
        return _form(request, row, form)
    form = ChangeServerForm(request.POST)
    if not form.is_valid():
        return _form(request, row, form, status=422)
    changed = added_servers.change_server(
        row,
        base_url=form.cleaned_data["base_url"],
        key=form.cleaned_data["key"],
        forget_key=form.cleaned_data["forget_key"],
        actor=require(request.principal, Scope.OPERATE),
    )
    _looked_at(request, changed, _("Changed %(name)s: %(status)s."))
    return redirect(changed)


def _looked_at(request: VenomRequest, row: Runtime, words: str) -> None:
    row = health.check_runtime(row)
    status = row.get_status_display()
    messages.success(request, words % {"name": row.name, "status": status})


def _form(
    request: VenomRequest, row: Runtime, form: ChangeServerForm, status: int = 200
) -> HttpResponse:
    context: dict[str, Any] = {
        "runtime": cards([row])[0],
        "has_key": bool(row.encrypted_key),
        "form": form,
        "blocked": added_servers.in_the_way(row),
        "live_topics": "runtimes",
    }
    return render(request, "runtime_app/server_change.html", context, status=status)


@needs(Scope.OPERATE)
@require_POST
def runtime_remove(request: VenomRequest, name: str) -> HttpResponse:
    row = runtimes.get_runtime(name)
    actor = require(request.principal, Scope.OPERATE)
    added_servers.remove_server(row, actor=actor)
    messages.success(request, _("Removed %(name)s.") % {"name": name})
    return redirect("runtime-list")
