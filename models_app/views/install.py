"""The page about installing a model: name it, see what the check found, start it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from models_app.choices import PROFILE_PROVIDERS
from models_app.forms.install import SOURCES, CheckForm, FitForm, InstallForm
from models_app.models import Operation
from models_app.providers.base import AccessDenied
from models_app.services import install
from models_app.services.install_check import InstallCheck, check_install
from models_app.services.install_fit import fit_panel
from models_app.services.install_wish import FINAL
from venom_site.lib.access import Scope, needs, require
from venom_site.lib.errors import (
    ConfirmRequired,
    DoesNotFit,
    InvalidBody,
    OutsideProfile,
    VenomError,
)
from venom_site.lib.htmx import VenomRequest, wants_part

# What the person can answer on this page; every other refusal has a page of its own.
ANSWERED_HERE = (InvalidBody, ConfirmRequired, DoesNotFit, *FINAL)


@needs(Scope.OPERATE)
@require_http_methods(["GET", "HEAD", "POST"])
def model_install(request: VenomRequest) -> HttpResponse:
    """GET shows the form and, with a name, the check; POST starts the install."""
    _within_profile()
    if request.method == "POST":
        return _start(request)
    if "name" not in request.GET:
        return _page(request, _empty_form(request))
    return _page(request, CheckForm(request.GET))


def _empty_form(request: VenomRequest) -> CheckForm:
    form = CheckForm(initial={"provider": SOURCES[0][0]})
    if _in_dialog(request):  # else the page's first stop is its link to the content
        form.fields["name"].widget.attrs["autofocus"] = True
    return form


def _in_dialog(request: VenomRequest) -> bool:
    """A script asks from another page: its address is not ours to change."""
    asked_on = request.htmx.current_url_abs_path if wants_part(request) else None
    return asked_on is not None and urlsplit(asked_on).path != request.path


def _within_profile() -> None:
    if PROFILE_PROVIDERS[settings.RUNTIME_PROFILE]:
        return
    raise OutsideProfile(
        _(
            "The profile %(profile)s installs nothing on this machine. "
            "VENOM_RUNTIME_PROFILE=light chooses one that does."
        )
        % {"profile": settings.RUNTIME_PROFILE}
    )


def _start(request: VenomRequest) -> HttpResponse:
    form = InstallForm(request.POST)
    if not form.is_valid():
        return _page(request, form)
    try:
        operation = _request(request, form.cleaned_data)
    except ANSWERED_HERE as error:
        return _page(request, form, refusal=error)
    if wants_part(request):
        target = operation.get_absolute_url()
        return HttpResponse(status=204, headers={"HX-Redirect": target})
    return redirect(operation)


def _request(request: VenomRequest, wanted: dict[str, Any]) -> Operation:
    return install.request_install(
        wanted["provider"],
        wanted["name"],
        revision=wanted["revision"],
        actor=require(request.principal, Scope.OPERATE),
        confirm_large=wanted["confirm_large"],
        activate="now" if wanted["activate"] else "no",
    )


def _fit(request: VenomRequest, check: InstallCheck | None) -> dict[str, Any]:
    """Whether it would run here, from what is at hand; the page asks for the rest."""
    if check is None or check.running is not None:
        return {}
    panel = fit_panel(
        check.provider,
        check.name,
        size_bytes=check.size_bytes,
        context=FitForm(request.GET).chosen_context(),
    )
    asks = panel.found is None or panel.found.kept.is_due
    return {
        "panel": panel,
        "asks_source": asks,
        "size": check.size_bytes,
        "gate_told": isinstance(check.refusal, AccessDenied),
    }


def _page(
    request: VenomRequest, form: CheckForm, refusal: VenomError | None = None
) -> HttpResponse:
    """The form with what the check found; 422 where something must be answered."""
    check = None
    if form.is_bound and form.is_valid() and not isinstance(refusal, InvalidBody):
        try:
            check = check_install(
                form.cleaned_data["provider"],
                form.cleaned_data["name"],
                form.cleaned_data["revision"],
            )
        except InvalidBody as error:
            refusal = error
    if isinstance(refusal, InvalidBody):
        form.add_error("name", str(refusal))
    status = 422 if refusal is not None or form.errors else 200
    context = {
        "form": form,
        "check": check,
        "refusal": refusal,
        "in_dialog": _in_dialog(request),
    } | _fit(request, check)
    return render(request, "models_app/install.html", context, status=status)
