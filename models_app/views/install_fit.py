"""The fit part of the install check: variants, memory by context, licence, gate.

Asked for by the check once it is shown, since the source may take its time; and again
by each choice of a context.
"""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from models_app.forms.install import FitForm
from models_app.providers.base import ModelNotFound
from models_app.services import catalog
from models_app.services.install_fit import FitPanel, fit_panel
from venom_site.lib.access import Scope, needs
from venom_site.lib.errors import BadRequest, UpstreamFailed
from venom_site.lib.htmx import VenomRequest


@needs(Scope.OPERATE)
@require_safe
def install_fit(request: VenomRequest) -> HttpResponse:
    """The part alone; a source that refuses costs its variants, never the answer."""
    catalog.refuse_without_models()
    form = FitForm(request.GET)
    if not form.is_valid():
        raise BadRequest(_("Say which model: provider and name."))
    told = form.cleaned_data["gate_told"]
    context = {"panel": _panel(form), "oob": False, "gate_told": told}
    return render(request, "models_app/_install_fit.html", context)


def _panel(form: FitForm) -> FitPanel:
    wanted = form.cleaned_data
    given = {"size_bytes": wanted["size"], "context": wanted["context"]}
    try:
        return fit_panel(wanted["provider"], wanted["name"], ask=True, **given)
    except (UpstreamFailed, ModelNotFound):
        return fit_panel(wanted["provider"], wanted["name"], **given)
