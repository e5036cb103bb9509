"""The page on which somebody says by hand what a model can do, or takes that back.

A page of its own: the model's page renews itself while one would be typing.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from models_app.forms.capabilities import YES_NO, CapabilitiesForm
from models_app.models import InstalledModel
from models_app.schemas.capabilities import capabilities_payload
from models_app.services import capabilities
from models_app.views.models import get_model, model_detail
from venom_site.lib.access import Scope, needs, require
from venom_site.lib.errors import NotFound
from venom_site.lib.htmx import VenomRequest

_WORDS = {value: word for word, value in YES_NO.items()}


@needs(Scope.OPERATE)
@require_http_methods(["GET", "HEAD", "POST"])
def model_capabilities(request: VenomRequest, provider: str, name: str) -> HttpResponse:
    """The button `reset` goes back to what is declared, whatever the fields say. A
    model whose own name ends in /capabilities is shown here."""
    actor = require(request.principal, Scope.OPERATE)
    try:
        model = get_model(provider, name)
    except NotFound:
        if request.method == "POST":
            raise
        return model_detail(request, provider=provider, name=f"{name}/capabilities")
    if request.method != "POST":
        return _page(request, model, CapabilitiesForm(initial=_shown(model)))
    if "reset" in request.POST:
        capabilities.reset_capabilities(model, actor=actor)
        text = _("What “%(name)s” can do is being read anew.")
    else:
        form = CapabilitiesForm(request.POST, initial=_shown(model))
        wish = form.wish()
        if wish is None:
            return _page(request, model, form, status=422)
        if wish.given():
            capabilities.set_capabilities(model, wish, actor=actor)
        text = _("What “%(name)s” can do has been saved.")
    messages.success(request, text % {"name": model.name})
    return redirect(model)


def _shown(model: InstalledModel) -> dict[str, Any]:
    told = capabilities_payload(model, capabilities.capabilities_of(model))
    return {
        name: _WORDS[value] if name.startswith("supports_") else value
        for name, value in told.items()
    }


def _page(
    request: VenomRequest,
    model: InstalledModel,
    form: CapabilitiesForm,
    status: int = 200,
) -> HttpResponse:
    said = capabilities.capabilities_of(model)
    context = {"model": model, "form": form, "is_by_hand": _is_by_hand(said)}
    page = "models_app/model_capabilities.html"
    return render(request, page, context, status=status)


def _is_by_hand(said: Any) -> bool:
    return said is not None and said.source == "manual"
