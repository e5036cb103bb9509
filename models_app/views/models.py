"""Pages of models: what is installed here, one of them, and taking one away.

The list answers from rows only; what the server holds in memory comes in through
`runtime_app`'s template tags, and nothing here asks a neighbour.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from models_app.choices import (
    PROFILE_PROVIDERS,
    ListOrder,
    ListState,
    ProviderName,
)
from models_app.forms.models import ModelFilterForm
from models_app.models import InstalledModel, Node, Operation
from models_app.providers.catalogues import SOURCES
from models_app.services import (
    capabilities,
    model_fit,
    model_lists,
    operation_lists,
    registry,
    remove,
)
from models_app.services.capabilities import Ability
from models_app.services.fit import Machine
from models_app.services.machine import read_memory
from models_app.services.model_filters import ModelFilter
from models_app.services.model_lists import ModelRow
from models_app.services.nodes import this_node
from models_app.services.storage import Storage, storage_of
from models_app.services.suggestion import obstacle, read_room, suggestion_for
from models_app.views.details import offer_page
from venom_site.lib.access import Scope, needs, require
from venom_site.lib.errors import NotFound
from venom_site.lib.htmx import VenomRequest, toast, wants_part
from venom_site.lib.names import is_model_name

PAGE_SIZE = 50
OPERATIONS_SHOWN = 8
UNDO_SECONDS = 10
TOPICS = "ops,models"


@needs(Scope.READ)
@require_safe
def model_list(request: VenomRequest) -> HttpResponse:
    """`/models/`: broken first, then active, then by last use."""
    form = ModelFilterForm(request.GET)
    machine = read_memory()
    filters = _judged(form.chosen(), machine)
    page = model_lists.list_rows(filters, page=form.page_number(), per_page=PAGE_SIZE)
    context: dict[str, Any] = {
        "page": page,
        "downloads": [row.operation for row in page.rows if row.model is None],
        "rows": [row for row in page.rows if row.model is not None],
        "filters": filters,
        "chips": _chips(request, form),
        "providers": _providers(),
        "states": ListState.choices,
        "orders": ListOrder.choices,
        "machine": machine,
        "storage": storage_of(_node_of(page.rows), installs=page.installs),
        "recent": operation_lists.latest(),
        "live_topics": TOPICS,
    }
    if not page.rows and not filters.is_set:
        context |= _nothing_here(context["storage"])
    return render(request, "models_app/model_list.html", context)


def _judged(filters: ModelFilter, machine: Machine) -> ModelFilter:
    """No column says what fits: that is judged, and only where somebody asks."""
    if not filters.fits:
        return filters
    return replace(filters, fitting=model_fit.fitting_ids(machine))


def _chips(request: VenomRequest, form: ModelFilterForm) -> list[dict[str, str]]:
    """What narrows the list, each with the address of the list without it."""
    return [
        {"words": words, "url": _address_without(request, name)}
        for name, words in form.words().items()
    ]


def _address_without(request: VenomRequest, name: str) -> str:
    rest = request.GET.copy()
    for each in (name, "page"):
        rest.pop(each, None)
    return f"{request.path}?{rest.urlencode()}" if rest else request.path


def _providers() -> list[tuple[str, str]]:
    """Those the profile shows, in the order of the choices."""
    shown = PROFILE_PROVIDERS[settings.RUNTIME_PROFILE]
    return [choice for choice in ProviderName.choices if choice[0] in shown]


def _node_of(rows: list[ModelRow]) -> Node:
    """The node they all lie on, which is this one; asked for only without a row."""
    held = next((row.model for row in rows if row.model is not None), None)
    return held.node if held else this_node()


def _nothing_here(storage: Storage) -> dict[str, Any]:
    """What an empty installation offers: a model that fits, or what is in the way."""
    if not _providers():
        return {"is_cloud_only": True}
    room = read_room(storage)
    return {"suggestion": suggestion_for(room), "obstacle": obstacle(room)}


def get_model(provider: str, name: str, revision: str = "") -> InstalledModel:
    """The model at this address; 404, or 403 where the profile hides its provider. Of
    several revisions the one asked for, else the active, else the newest."""
    if provider not in ProviderName.values:
        raise NotFound(
            _("There is no provider called “%(name)s”.") % {"name": provider}
        )
    registry.refuse_outside_profile(provider)
    return registry.get_installed(provider, name, revision)


@needs(Scope.READ)
@require_safe
def model_detail(request: VenomRequest, provider: str, name: str) -> HttpResponse:
    """What is here, and of what is not here what its catalogue tells."""
    revision = request.GET.get("revision", "")[:100]
    try:
        model = get_model(provider, name, revision)
    except NotFound:
        if provider not in SOURCES or revision or not is_model_name(name):
            raise
        return offer_page(request, provider, name)
    versions = registry.versions_of(model) if model.revision else []
    rows = Operation.objects.filter(provider=provider, model_name__iexact=model.name)
    latest = rows.for_display().newest_first()[:OPERATIONS_SHOWN]
    machine = read_memory()
    serving = model.active_on.filter(state="active").select_related("runtime")
    context = {
        "row": model_lists.row_of(model),
        "model": model,
        "versions": versions if len(versions) > 1 else [],
        "capabilities": getattr(model, "capabilities", None),
        "abilities": _abilities(model),
        "fit": model_fit.fit_of(model, machine),
        "estimate": model_fit.fit_of(model, machine, measured=False),
        "contexts": model_fit.contexts_of(model, machine),
        "removal": remove.removal_of(model),
        "activation": serving.first(),
        "operations": operation_lists.with_holders(list(latest)),
        "live_topics": TOPICS,
    }
    return render(request, "models_app/model_detail.html", context)


@needs(Scope.OPERATE)
@require_safe
def model_menu(request: VenomRequest) -> HttpResponse:
    """What can be done with a model of the list, asked for when its menu is opened;
    without a script its page shows the same."""
    asked = request.GET
    model = get_model(asked.get("provider", ""), asked.get("name", ""))
    if not wants_part(request):
        return redirect(model)
    context = {"row": model_lists.row_of(model)}
    return render(request, "models_app/_model_menu.html", context)


def _abilities(model: InstalledModel) -> list[Ability]:
    said = getattr(model, "capabilities", None)
    return capabilities.abilities_of(model, said) if said else []


@needs(Scope.READ)
@require_http_methods(["GET", "HEAD", "POST"])
def model_remove(request: VenomRequest, provider: str, name: str) -> HttpResponse:
    """POST removes in ten seconds, time enough to undo; a model whose own name ends
    in /remove is shown here."""
    if request.method != "POST":
        return model_detail(request, provider=provider, name=f"{name}/remove")
    actor = require(request.principal, Scope.OPERATE)
    model = get_model(provider, name, request.POST.get("revision", "")[:100])
    registry.refuse_several(model, request.POST.get("revision", ""))
    remove.request_remove(model, actor=actor, delay_seconds=UNDO_SECONDS)
    text = _("%(name)s will be removed in %(seconds)s s. Undo stops it.") % {
        "name": model.name,
        "seconds": UNDO_SECONDS,
    }
    if wants_part(request):
        row = model_lists.row_of(model)
        return HttpResponse(_row(request, row) + toast(request, text))
    messages.success(request, text)
    return redirect("model-list")


def _row(request: VenomRequest, row: ModelRow) -> str:
    context = {"row": row, "oob": True}
    return render_to_string("models_app/_model_row.html", context, request=request)
