"""The card of a model's acceptance run: the newest evidence, and the button.

It stands on the model's page, which fetches it, and is a page of its own for a browser
without scripts.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from runtime_app.services import parameters, runtimes, trials
from runtime_app.services.trial_shapes import evidence_of
from venom_site.lib.access import Scope, needs, require
from venom_site.lib.htmx import VenomRequest, toast, wants_part


@needs(Scope.READ)
@require_safe
def trial_page(request: VenomRequest, name: str) -> HttpResponse:
    """`?model=` on the runtime called `name`."""
    runtimes.get_runtime(name)  # in a path an unknown one is 404
    found = parameters.parameters_of(request.GET.get("model", ""), name)
    context = {"found": evidence_of(found.runtime, found.model)}
    template = "_model_trial.html" if wants_part(request) else "trial.html"
    return render(request, f"runtime_app/{template}", context)


@needs(Scope.OPERATE)
@require_POST
def trial_run(request: VenomRequest, name: str) -> HttpResponse:
    actor = require(request.principal, Scope.OPERATE)
    row = runtimes.get_runtime(name)
    wanted = request.POST.get("model", "")
    operation = trials.request_trial(wanted, runtime=name, actor=actor)
    text = _("“%(title)s” has been queued.") % {"title": operation.title}
    if wants_part(request):
        context = {"found": evidence_of(row, operation.model_name)}
        card = render_to_string(
            "runtime_app/_model_trial.html", context, request=request
        )
        url = operation.get_absolute_url()
        return HttpResponse(card + toast(request, text, url=url, url_text=_("Watch")))
    messages.success(request, text)
    page = reverse("model-trial", args=[name])
    return redirect(f"{page}?{urlencode({'model': operation.model_name})}")
