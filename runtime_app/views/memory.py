"""The buttons of a model's memory: load, unload, pin, and unload everything.

They stand on the cards of runtimes and on the pages of models. A script gets the
card that changed and a toast; what follows comes through the socket.
"""

from __future__ import annotations

from typing import TypeVar

from django import forms
from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from models_app.models import Operation
from runtime_app.forms import LoadForm, MemoryForm, PinForm
from runtime_app.services import memory
from runtime_app.views.cards import all_cards, card_of
from venom_site.lib.access import Scope, needs, require
from venom_site.lib.errors import InvalidBody
from venom_site.lib.htmx import VenomRequest, back_to, toast, wants_part

F = TypeVar("F", bound=forms.Form)


@needs(Scope.OPERATE)
@require_POST
def model_load(request: VenomRequest) -> HttpResponse:
    wanted = _valid(LoadForm(request.POST)).cleaned_data
    actor = require(request.principal, Scope.OPERATE)
    operation = memory.request_load(
        wanted["name"], runtime=wanted["runtime"], actor=actor, relief=wanted["relief"]
    )
    return _started(request, operation)


@needs(Scope.OPERATE)
@require_POST
def model_unload(request: VenomRequest) -> HttpResponse:
    wanted = _valid(MemoryForm(request.POST)).cleaned_data
    actor = require(request.principal, Scope.OPERATE)
    operation = memory.request_unload(
        wanted["name"], runtime=wanted["runtime"], actor=actor
    )
    return _started(request, operation)


@needs(Scope.OPERATE)
@require_POST
def unload_all(request: VenomRequest) -> HttpResponse:
    actor = require(request.principal, Scope.OPERATE)
    return _started(request, memory.request_unload_all(actor=actor))


@needs(Scope.OPERATE)
@require_POST
def model_pin(request: VenomRequest) -> HttpResponse:
    form = _valid(PinForm(request.POST))
    actor = require(request.principal, Scope.OPERATE)
    wanted = form.cleaned_data
    model = memory.set_pinned(
        wanted["name"],
        pinned=wanted["pinned"],
        runtime=wanted["runtime"],
        actor=actor,
    )
    words = (
        _("“%(name)s” is pinned: it stays in memory.")
        if model.pinned
        else _("“%(name)s” is no longer pinned: it leaves memory when it is idle.")
    )
    return _answer(request, model.runtime, words % {"name": model.name})


def _valid(form: F) -> F:
    """The form, or 422 with its errors: there is no page of it to show again."""
    if form.is_valid():
        return form
    found = form.errors.get_json_data()
    raise InvalidBody(
        " ".join(str(error["message"]) for each in found.values() for error in each),
        errors=[
            {"loc": f"body.{name}", "message": str(error["message"])}
            for name, each in found.items()
            for error in each
        ],
    )


def _started(request: VenomRequest, operation: Operation) -> HttpResponse:
    text = _("“%(title)s” has been queued.") % {"title": operation.title}
    url = operation.get_absolute_url()
    return _answer(request, operation.runtime, text, url=url)


def _answer(
    request: VenomRequest, runtime: str, text: str, *, url: str = ""
) -> HttpResponse:
    if not wants_part(request):
        messages.success(request, text)
        return HttpResponseRedirect(back_to(request, url or reverse("runtime-list")))
    url_text = _("Watch") if url else ""
    shown = toast(request, text, url=url, url_text=url_text)
    return HttpResponse(_cards(request, runtime) + shown)


def _cards(request: VenomRequest, name: str) -> str:
    """The cards that changed, out of band: the page may not hold them."""
    found = card_of(name) if name else None
    shown = [found] if found else all_cards()
    return "".join(
        render_to_string(
            "runtime_app/_runtime_card.html",
            {"runtime": card, "oob": True},
            request=request,
        )
        for card in shown
    )
