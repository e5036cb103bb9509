"""Pages of what could be installed: what is popular, what a search finds, variants.

A page answers at once from kept copies. A block whose copy is old asks for itself once
the page is there; without a script a link and a button do the same.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from models_app.forms.catalog import CATALOG_PAGES, CatalogForm, VariantsForm
from models_app.providers.base import ModelNotFound
from models_app.services import catalog, catalog_blocks
from models_app.services.machine import read_machine
from models_app.services.variants import judged_variants
from models_app.views.refreshing import tell_if_too_soon
from venom_site.lib.access import Scope, needs
from venom_site.lib.errors import BadRequest, UpstreamFailed
from venom_site.lib.htmx import VenomRequest, wants_part

TRENDING, CATALOG = CATALOG_PAGES
HINTS = ("fits:yes", "runtime:ollama", "licence:apache", "size:<5GB", "author:google")
PART = "models_app/_catalog_block.html"
TEMPLATES = {
    TRENDING: "models_app/trending.html",
    CATALOG: "models_app/catalog.html",
}


@needs(Scope.READ)
@require_safe
def trending(request: VenomRequest) -> HttpResponse:
    """`/models/trending/`: two blocks, each with its age; `part` has one asked."""
    return _page(request, TRENDING)


@needs(Scope.READ)
@require_safe
def catalogue(request: VenomRequest) -> HttpResponse:
    """`/models/catalog/`: words and hints, and what each source finds."""
    return _page(request, CATALOG)


def _page(request: VenomRequest, page: str) -> HttpResponse:
    catalog.refuse_without_models()
    form = CatalogForm(request.GET)
    wish, part = form.wish(page), form.chosen("part")
    if part and wants_part(request):
        block = catalog_blocks.block(wish, part)
        return render(request, PART, _context(page, form) | {"block": block})
    blocks = catalog_blocks.blocks(wish, ask=part)
    if wish.cursor:  # a later page is that of one source
        blocks = [block for block in blocks if block.source == part]
    context = _context(page, form) | {"blocks": blocks, "hints": HINTS}
    return render(request, TEMPLATES[page], context)


def _context(page: str, form: CatalogForm) -> dict[str, Any]:
    return {
        "page": page,
        "address": reverse(page),
        "query": form.query(),
        "typed": form.chosen("q"),
        "wish": form.wish(page),
    }


@needs(Scope.OPERATE)
@require_POST
def refresh(request: VenomRequest) -> HttpResponse:
    """The button of one block: its source is asked now, however fresh its copy is."""
    catalog.refuse_without_models()
    form = CatalogForm(request.POST)
    part, page = form.chosen("part"), form.chosen("page") or TRENDING
    if not part:
        raise BadRequest(_("Say which source: part."))
    wish = form.wish(page)
    block = catalog_blocks.block(wish, part, refresh=True)
    if wants_part(request):
        return render(request, PART, _context(page, form) | {"block": block})
    tell_if_too_soon(request, block.label, block.answer.kept)
    return redirect(f"{reverse(page)}?{form.query()}#{block.element}")


@needs(Scope.READ)
@require_safe
def variants(request: VenomRequest) -> HttpResponse:
    """What there is to install of one model: unfolded in its row, or a page."""
    catalog.refuse_without_models()
    form = VariantsForm(request.GET)
    if not form.is_valid():
        raise BadRequest(_("Say which model: provider and name."))
    provider, name = form.cleaned_data["provider"], form.cleaned_data["name"]
    context: dict[str, Any] = {"provider": provider, "name": name}
    try:
        details, kept = catalog.details_of(provider, name)
    except (UpstreamFailed, ModelNotFound) as refusal:
        context["refusal"] = refusal
    else:
        offers = judged_variants(provider, details, read_machine())
        context |= {"details": details, "kept": kept, "offers": offers}
    context["note"] = catalog.note_of(provider)
    part = wants_part(request)
    template = "_catalog_variants.html" if part else "variants.html"
    return render(request, f"models_app/{template}", context)
