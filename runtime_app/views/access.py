"""Sign-in, sign-out, the one-time link, the theme and the help page.

Open to people who are not signed in, so nothing here may show what the installation
holds. Passwords and tokens pass through and are never logged.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from runtime_app.forms import OwnerForm, SignInForm
from runtime_app.governance import links, sign_in
from venom_site.lib.access import open_to_all
from venom_site.lib.errors import Conflict, Forbidden, VenomError
from venom_site.lib.htmx import wants_part

THEMES = ("light", "dark")
YEAR_SECONDS = 365 * 24 * 3600
_BACKEND = "django.contrib.auth.backends.ModelBackend"


def _address(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR") or "")


def _next(request: HttpRequest, otherwise: str = "") -> str:
    """Where to go afterwards: an address of ours, never another site's."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_ours else otherwise


@open_to_all
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_page(request: HttpRequest) -> HttpResponse:
    """The form, and its answer: 422 for a wrong password, 429 for too many."""
    if request.method != "POST" and request.user.is_authenticated:
        return redirect(_next(request) or settings.LOGIN_REDIRECT_URL)
    posted = request.POST if request.method == "POST" else None
    form = SignInForm(request, data=posted)
    if posted is None:
        return _sign_in_form(request, form)
    name = posted.get("username", "")
    sign_in.count_attempt(name, _address(request))
    if not form.is_valid():
        sign_in.note_failure(name, _address(request))
        return _sign_in_form(request, form, status=422)
    user = form.get_user()
    login(request, user)
    sign_in.note_success(user, _address(request), by="password")
    return redirect(_next(request) or settings.LOGIN_REDIRECT_URL)


def _sign_in_form(
    request: HttpRequest, form: SignInForm, status: int = 200
) -> HttpResponse:
    context = {"form": form, "next": _next(request)}
    return render(request, "access/sign_in.html", context, status=status)


@open_to_all
@never_cache
def sign_out(request: HttpRequest) -> HttpResponse:
    """Running operations go on; only this browser's session ends."""
    if not isinstance(request.user, User):
        return redirect_to_login("/", reverse("sign-in"))
    if request.method != "POST":
        return redirect(settings.LOGIN_REDIRECT_URL)
    sign_in.note_sign_out(request.user, _address(request))
    logout(request)
    return render(request, "access/signed_out.html")


@open_to_all
@never_cache
@sensitive_post_parameters("password", "repeated")
@require_http_methods(["GET", "HEAD", "POST"])
def welcome(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows a button and consumes nothing; POST uses the link up and signs in."""
    _only_from_here(request)
    if not links.is_usable(token):
        return _link_used(request)
    form = _owner_form(request)
    if request.method != "POST":
        return render(request, "access/welcome.html", {"form": form})
    if form is not None and not form.is_valid():
        return render(request, "access/welcome.html", {"form": form}, status=422)
    return _consume(request, token, form)


def _only_from_here(request: HttpRequest) -> None:
    if settings.SIGN_IN_LINK_FROM_ANYWHERE or sign_in.is_loopback(_address(request)):
        return
    raise Forbidden(
        _(
            "Sign-in links work only on the machine that runs Venom. Open it there, or "
            "set VENOM_ALLOWED_HOSTS to the names under which others reach it."
        )
    )


def _owner_form(request: HttpRequest) -> OwnerForm | None:
    """Asked only while nobody owns the installation."""
    if links.owner() is not None:
        return None
    return OwnerForm(request.POST if request.method == "POST" else None)


def _consume(request: HttpRequest, token: str, form: OwnerForm | None) -> HttpResponse:
    given = form.cleaned_data if form is not None else {}
    name, password = given.get("username", "owner"), given.get("password", "")
    try:
        user = links.consume_link(token, name=name, password=password)
    except links.LinkUsed:
        return _link_used(request)
    except Conflict as error:
        if form is None:
            raise
        return _name_taken(request, form, error)
    login(request, user, backend=_BACKEND)
    sign_in.note_success(user, _address(request), by="link")
    return redirect(settings.LOGIN_REDIRECT_URL)


def _name_taken(
    request: HttpRequest, form: OwnerForm, error: VenomError
) -> HttpResponse:
    form.add_error("username", str(error))
    return render(request, "access/welcome.html", {"form": form}, status=422)


def _link_used(request: HttpRequest) -> HttpResponse:
    return render(request, "access/welcome_used.html", status=410)


@open_to_all
@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Keep `light` or `dark` in a cookie; anything else follows the system."""
    response = redirect(_next(request, "/"))
    theme = request.POST.get("theme", "")
    if theme in THEMES:
        response.set_cookie(
            "venom_theme", theme, max_age=YEAR_SECONDS, samesite="Lax", httponly=True
        )
    else:
        response.delete_cookie("venom_theme", samesite="Lax")
    return response


@open_to_all
@require_safe
def help_page(request: HttpRequest) -> HttpResponse:
    """For an open page that fetches its frame anew, only that frame."""
    page = "_frame.html" if wants_part(request) else "help.html"
    response = render(request, page)
    patch_vary_headers(response, ["HX-Request"])
    return response
