"""The card of a model's generation parameters, and saving it.

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

from runtime_app.forms import ParametersForm
from runtime_app.services import parameters, runtimes
from runtime_app.services.parameters import ModelParameters
from venom_site.lib.access import Scope, needs, require
from venom_site.lib.htmx import VenomRequest, toast, wants_part


@needs(Scope.READ)
@require_safe
def parameters_page(request: VenomRequest, name: str) -> HttpResponse:
    """`?model=` on the runtime called `name`."""
    runtimes.get_runtime(name)  # in a path an unknown one is 404
    found = parameters.parameters_of(request.GET.get("model", ""), name)
    return _page(request, found, ParametersForm(found))


@needs(Scope.OPERATE)
@require_POST
def parameters_save(request: VenomRequest, name: str) -> HttpResponse:
    """The button `reset` leaves all to the server, whatever the fields say."""
    actor = require(request.principal, Scope.OPERATE)
    runtimes.get_runtime(name)
    found = parameters.parameters_of(request.POST.get("model", ""), name)
    form = ParametersForm(found, request.POST)
    wanted = {}
    if "reset" not in request.POST:
        if not form.is_valid():
            return _page(request, found, form, status=422)
        wanted = form.cleaned_data
    found = parameters.set_parameters(found.model, wanted, runtime=name, actor=actor)
    text = _("Parameters of “%(model)s” saved.") % {"model": found.model}
    if wants_part(request):
        return HttpResponse(_card(request, found) + toast(request, text))
    messages.success(request, text)
    page = reverse("model-parameters", args=[name])
    return redirect(f"{page}?{urlencode({'model': found.model})}")


def _page(
    request: VenomRequest,
    found: ModelParameters,
    form: ParametersForm,
    status: int = 200,
) -> HttpResponse:
    template = "_model_parameters.html" if wants_part(request) else "parameters.html"
    context = {"found": found, "form": form}
    return render(request, f"runtime_app/{template}", context, status=status)


def _card(request: VenomRequest, found: ModelParameters) -> str:
    return render_to_string(
        "runtime_app/_model_parameters.html",
        {"found": found, "form": ParametersForm(found)},
        request=request,
    )
