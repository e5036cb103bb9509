"""The page of a model that is not installed: what its source tells, judged for here.

Shows the kept copy at once. Where there is none, or an old one, the page asks for its
own part once it is there; without a script a link does the same.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from models_app.choices import CatalogSource, ProviderName
from models_app.forms.catalog import VariantsForm
from models_app.providers.base import ModelNotFound
from models_app.services import catalog
from models_app.services.details import (
    JudgedDetails,
    judged_details,
    kept_details,
    listed_name,
)
from models_app.views.refreshing import tell_if_too_soon
from venom_site.lib.access import Scope, needs
from venom_site.lib.errors import BadRequest, UpstreamFailed
from venom_site.lib.htmx import VenomRequest, wants_part
from venom_site.lib.safe_html import card_html

PART = "models_app/_details.html"
ELEMENT = "model-details"
CARDS_KEPT = 16  # one may take two seconds to be made safe
REFUSALS = (UpstreamFailed, ModelNotFound)


def offer_page(request: VenomRequest, provider: str, name: str) -> HttpResponse:
    """The address of a model that is not here; 404 where its source has none either."""
    catalog.refuse_without_models()
    is_part = wants_part(request)
    if is_part and request.htmx.target != ELEMENT:
        # An open page of a model that has just gone asks for itself: begin anew.
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    if not is_part and "ask" not in request.GET:
        found = kept_details(provider, name)
        is_old = found is None or found.kept.is_due
        return _page(request, provider, name, found, asks_itself=is_old)
    try:
        found = judged_details(provider, name)
    except REFUSALS as refusal:
        if isinstance(refusal, ModelNotFound) and not is_part:
            raise
        return _page(request, provider, name, None, refusal=refusal)
    return _page(request, provider, name, found)


@needs(Scope.OPERATE)
@require_POST
def details_refresh(request: VenomRequest) -> HttpResponse:
    """The button: the source is asked now, however fresh the copy is."""
    catalog.refuse_without_models()
    form = VariantsForm(request.POST)
    if not form.is_valid():
        raise BadRequest(_("Say which model: provider and name."))
    provider, name = form.cleaned_data["provider"], form.cleaned_data["name"]
    found, refusal = None, None
    try:
        found = judged_details(provider, name, refresh=True)
    except REFUSALS as error:
        refusal = error
    if wants_part(request) or refusal is not None:
        return _page(request, provider, name, found, refusal=refusal)
    if found is not None:
        tell_if_too_soon(request, str(CatalogSource(provider).label), found.kept)
    return redirect("model-detail", provider, name)


def _page(
    request: VenomRequest,
    provider: str,
    name: str,
    found: JudgedDetails | None,
    *,
    refusal: UpstreamFailed | ModelNotFound | None = None,
    asks_itself: bool = False,
) -> HttpResponse:
    context: dict[str, Any] = {
        "provider": provider,
        "provider_label": ProviderName(provider).label,
        "source": CatalogSource(provider).label,
        "name": name,
        "listed_name": listed_name(provider, name),
        "found": found,
        "refusal": refusal,
        "note": catalog.note_of(provider),
        "asks_itself": asks_itself,
    }
    if found is not None:
        context |= {"details": found.details, "card": _card(found)}
    template = PART if wants_part(request) else "models_app/model_offer.html"
    return render(request, template, context)


def _card(found: JudgedDetails) -> SafeString:
    url = found.details.listed.url
    revision = found.details.revision or "main"
    is_hub = found.provider == ProviderName.HUGGINGFACE
    base = f"{url}/blob/{revision}/" if is_hub and url else url
    return _card_in(found.details.card, base, get_language() or "")


@lru_cache(maxsize=CARDS_KEPT)
def _card_in(card: str, base_url: str, _language: str) -> SafeString:
    """Kept by language, for the words we add to it."""
    return card_html(card, base_url=base_url) if card.strip() else SafeString("")
