"""The page that shows what an activation will do, and the button that starts it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from models_app.models import Operation
from runtime_app.forms import ActivateForm
from runtime_app.models import Runtime
from runtime_app.services import activate, runtimes
from runtime_app.views.cards import RuntimeCard, cards
from venom_site.lib.access import Scope, needs


@needs(Scope.OPERATE)
@require_http_methods(["GET", "HEAD", "POST"])
def activate_page(request: HttpRequest, name: str) -> HttpResponse:
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
        actor=request.principal,  # type: ignore[attr-defined]
        when=form.cleaned_data["when"],
    )
    return _to_operation(request, operation)


def _to_operation(request: HttpRequest, operation: Operation) -> HttpResponse:
    target = operation.get_absolute_url()
    if getattr(request, "htmx", None):
        return HttpResponse(status=204, headers={"HX-Redirect": target})
    return HttpResponseRedirect(target)


def _plan(
    request: HttpRequest,
    runtime: Runtime,
    model: str,
    form: ActivateForm | None = None,
) -> HttpResponse:
    card = cards([runtime])[0]
    names = [row.name for row in card.models]
    chosen = model if model in names else (names[0] if names else "")
    context: dict[str, Any] = {
        "runtime": card,
        "model": chosen,
        "plan": activate.plan_for(runtime, chosen),
        "blocked": _blocked(card, model),
        "form": form,
        "live_topics": "ops,runtimes",
    }
    status = 422 if form is not None else 200
    return render(request, "runtime_app/activate.html", context, status=status)


def _blocked(card: RuntimeCard, model: str) -> str:
    """Why it cannot be started now; empty when it can."""
    if not card.models:
        return _("%(name)s lists no model.") % {"name": card.display_name}
    if model and model not in [row.name for row in card.models]:
        words = _("%(name)s does not have “%(model)s”. Choose one that it has.")
        return words % {"name": card.display_name, "model": model}
    return ""
