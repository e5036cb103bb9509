"""The names of what a runtime runs: the part of its page, and the button that repairs.

A page of its own for a browser without scripts.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from runtime_app.services import alias_guard, names_table, runtimes
from runtime_app.services.alias_guard import Repair
from venom_site.lib.access import Scope, needs, require
from venom_site.lib.htmx import VenomRequest, back_to, toast, wants_part


@needs(Scope.READ)
@require_safe
def names_page(request: VenomRequest, name: str) -> HttpResponse:
    """The four names, and the table of friendly name, path and alias."""
    runtime = runtimes.get_runtime(name)
    names = runtime.names if isinstance(runtime.names, dict) else {}
    context = {
        "runtime": runtime,
        "names": names,
        "rows": names_table.table_of(runtime),
    }
    template = "_names.html" if wants_part(request) else "names.html"
    return render(request, f"runtime_app/{template}", context)


@needs(Scope.OPERATE)
@require_POST
def names_repair(request: VenomRequest, name: str) -> HttpResponse:
    actor = require(request.principal, Scope.OPERATE)
    runtime = runtimes.get_runtime(name)
    return _begun(request, alias_guard.repair(runtime, actor=actor), name)


def _begun(request: VenomRequest, begun: Repair, name: str) -> HttpResponse:
    operation, url, text = begun.operation, "", begun.message
    if operation is not None:
        url = operation.get_absolute_url()
        text = _("“%(title)s” has been queued.") % {"title": operation.title}
    if wants_part(request):
        return HttpResponse(
            toast(request, text, url=url, url_text=_("Watch") if url else "")
        )
    messages.success(request, text)
    page = reverse("runtime-detail", args=[name])
    return HttpResponseRedirect(back_to(request, url or page))
