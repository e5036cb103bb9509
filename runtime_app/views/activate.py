"""The page that shows what an activation will do, and the button that starts it.

Where a script runs the same page opens as a dialog. Everything that it says comes from
`activation_preview`: the plan, the diff, what else follows, and why it cannot be.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from models_app.models import InstalledModel, Operation
from runtime_app.forms import ActivateForm
from runtime_app.models import Runtime
from runtime_app.services import activate, runtimes
from runtime_app.services.activation_plan import (
    ActivationPreview,
    activation_preview,
)
from runtime_app.views.cards import RuntimeCard, cards
from venom_site.lib.access import Scope, needs, require
from venom_site.lib.htmx import VenomRequest

MOST_CHOICES = 500
# A refusal of this kind ends where the models that it names leave memory.
NEEDS_ROOM = "does_not_fit"


@needs(Scope.OPERATE)
@require_http_methods(["GET", "HEAD", "POST"])
def activate_page(request: VenomRequest, name: str) -> HttpResponse:
    """GET shows the plan, POST starts it and leads to the operation."""
    runtime = runtimes.get_runtime(name)
    if request.method != "POST":
        return _plan(request, runtime, request.GET.get("model", ""))
    form = ActivateForm(request.POST)
    if not form.is_valid():
        return _plan(request, runtime, request.POST.get("model", ""), form)
    operation = activate.request_activation(
        runtime.name,
        form.cleaned_data["model"],
        actor=require(request.principal, Scope.OPERATE),
        when=form.cleaned_data["when"],
        relief=form.cleaned_data["relief"],
    )
    return _to_operation(request, operation)


def _to_operation(request: VenomRequest, operation: Operation) -> HttpResponse:
    target = operation.get_absolute_url()
    if getattr(request, "htmx", None):
        return HttpResponse(status=204, headers={"HX-Redirect": target})
    return HttpResponseRedirect(target)


def _plan(
    request: VenomRequest,
    runtime: Runtime,
    model: str,
    form: ActivateForm | None = None,
) -> HttpResponse:
    card = cards([runtime])[0]
    names = _choices(runtime, card)
    chosen = model if model in names else (names[0] if names else "")
    preview = activation_preview(runtime, chosen) if chosen else None
    context: dict[str, Any] = {
        "runtime": card,
        "model": chosen,
        "choices": names,
        "preview": preview,
        "asks_for_room": _asks_for_room(preview),
        "blocked": _unknown(card, names, model),
        "form": form,
        "live_topics": "ops,runtimes",
    }
    status = 422 if form is not None else 200
    return render(request, "runtime_app/activate.html", context, status=status)


def _choices(runtime: Runtime, card: RuntimeCard) -> list[str]:
    """What its server lists, then what is installed for it and needs a start."""
    listed = [row.name for row in card.models]
    providers = runtimes.providers_of(runtime)
    rows = InstalledModel.objects.filter(
        node_id=runtime.node_id, provider__in=providers
    ).order_by("name")
    known = {name.lower() for name in listed}
    installed = rows.values_list("name", flat=True).distinct()[:MOST_CHOICES]
    return [*listed, *(name for name in installed if name.lower() not in known)]


def _unknown(card: RuntimeCard, names: list[str], model: str) -> str:
    """Why there is no plan at all; empty when there is one."""
    if not names:
        return _("%(name)s lists no model.") % {"name": card.display_name}
    if model and model not in names:
        words = _("%(name)s does not have “%(model)s”. Choose one that it has.")
        return words % {"name": card.display_name, "model": model}
    return ""


def _asks_for_room(preview: ActivationPreview | None) -> bool:
    """Only memory is in the way, and unloading idle models makes enough of it."""
    return preview is not None and (
        preview.blocked_code == NEEDS_ROOM and bool(preview.relief)
    )
