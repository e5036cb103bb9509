"""The page that says whether vLLM would run a model here, and with what.

A GET form without scripts; asking changes nothing. POST starts the conversion that
the page offers.
"""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from models_app.forms.prepare import PrepareForm
from models_app.services import convert, prepare
from models_app.views.models import get_model, model_detail
from venom_site.lib.access import Scope, needs, require
from venom_site.lib.errors import NotFound
from venom_site.lib.htmx import VenomRequest


@needs(Scope.READ)
@require_http_methods(["GET", "HEAD", "POST"])
def model_prepare(request: VenomRequest, provider: str, name: str) -> HttpResponse:
    """`?dtype=&quantization=&revision=`; POST of the same converts. A model whose own
    name ends in /prepare is shown."""
    if request.method == "POST":
        return _convert(request, provider, name)
    revision = request.GET.get("revision", "")[:100]
    try:
        model = get_model(provider, name, revision)
    except NotFound:
        return model_detail(request, provider=provider, name=f"{name}/prepare")
    form = PrepareForm(request.GET)
    found = prepare.prepare_installed(model, **form.chosen())
    context = {
        "model": model,
        "form": form if model.runtime == prepare.VLLM else None,
        "chosen": form.chosen(),
        "revision": revision,
        "found": found,
        "verdict": _verdict(found),
    }
    return render(request, "models_app/model_prepare.html", context)


def _convert(request: VenomRequest, provider: str, name: str) -> HttpResponse:
    actor = require(request.principal, Scope.OPERATE)
    model = get_model(provider, name, request.POST.get("revision", "")[:100])
    found = prepare.prepare_installed(model, **PrepareForm(request.POST).chosen())
    return redirect(convert.request_conversion(found, actor=actor))


def _verdict(found: prepare.Preparation) -> str:
    if found.action == "convert":
        return _("It should run here once it is converted.")
    if found.action == "refuse":
        return _("It would not run here as it is.")
    if any(check.verdict == "warning" for check in found.checks):
        return _("It should run here; read the warnings first.")
    return _("It should run here.")
