"""Pages of what is written about models: the blog, and the papers of a month.

A page answers at once from kept copies. A section whose copy is old asks for itself
once the page is there; without a script a link and a button do the same.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from models_app.forms.news import NewsForm
from models_app.services import news, news_blocks
from models_app.services.news_blocks import Block
from models_app.views.refreshing import tell_if_too_soon
from venom_site.lib.access import Scope, needs
from venom_site.lib.errors import BadRequest
from venom_site.lib.htmx import VenomRequest, wants_part

NEWS, PAPERS = "news", "news-papers"
# How many items of each section a page shows; its numbered pages are of the first.
SIZES = {NEWS: {news.BLOG: 12, news.PAPERS: 6}, PAPERS: {news.PAPERS: 25}}
TEMPLATES = {NEWS: "models_app/news.html", PAPERS: "models_app/papers.html"}


@needs(Scope.READ)
@require_safe
def news_list(request: VenomRequest) -> HttpResponse:
    """`/news/`: both sections. `month` is of the papers, `page` of the blog; `part`
    has the source of one section asked."""
    return _page(request, NEWS)


@needs(Scope.READ)
@require_safe
def paper_list(request: VenomRequest) -> HttpResponse:
    """`/news/papers/`: all that is kept of a month."""
    return _page(request, PAPERS)


def _page(request: VenomRequest, place: str) -> HttpResponse:
    form = NewsForm(request.GET)
    part = form.part_asked()
    if part in SIZES[place] and wants_part(request):
        shown = _block(form, place, part, ask=True)
        return _render_block(request, form, place, shown)
    blocks = [_block(form, place, each, ask=each == part) for each in SIZES[place]]
    context = _context(form, place) | {"blocks": blocks}
    return render(request, TEMPLATES[place], context)


def _block(
    form: NewsForm, place: str, source: str, *, ask: bool, refresh: bool = False
) -> Block:
    is_first = source == next(iter(SIZES[place]))
    return news_blocks.block(
        source,
        month=form.chosen_month(),
        page=form.page_number() if is_first else 1,
        size=SIZES[place][source],
        ask=ask,
        refresh=refresh,
    )


def _context(form: NewsForm, place: str) -> dict[str, Any]:
    return {
        "place": place,
        "address": reverse(place),
        "month": form.chosen_month(),
        "month_choices": news_blocks.month_choices(),
        "complaint": " ".join(map(str, form.errors.get("month", ()))),
    }


def _render_block(
    request: VenomRequest, form: NewsForm, place: str, shown: Block
) -> HttpResponse:
    context = _context(form, place) | {"block": shown}
    return render(request, "models_app/_news_block.html", context)


@needs(Scope.OPERATE)
@require_POST
def news_refresh(request: VenomRequest) -> HttpResponse:
    """The button of one section: its source is asked now, whatever its copy's age."""
    form, place = NewsForm(request.POST), request.POST.get("place", NEWS)
    part = form.part_asked()
    if part not in SIZES.get(place, ()):
        raise BadRequest(_("Say which section: part and place."))
    shown = _block(form, place, part, ask=True, refresh=True)
    if wants_part(request):
        return _render_block(request, form, place, shown)
    tell_if_too_soon(request, shown.label, shown.found.kept)
    query = urlencode({"month": form.chosen_month()})
    return redirect(f"{reverse(place)}?{query}#{shown.element}")
