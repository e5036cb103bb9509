"""Who is calling a plain ASGI app: the principal of a bearer key or a session.

Used by streams and sockets, which Django's middleware never sees. Blocking code:
call it through `lib.offloop`. Refusals are errors, as in the middleware.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import auth
from django.core.handlers.asgi import ASGIRequest
from django.http.request import validate_host
from django.utils.translation import get_language_from_request

from runtime_app.governance import keys
from venom_site.lib.access import Principal, Scope, require
from venom_site.lib.errors import Unauthorized

Connection = dict[str, Any]  # an ASGI scope; «scope» is a permission in this house


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, in which language answers are read."""

    principal: Principal
    language: str


def identify(
    connection: Connection, *, needs: Scope | None, by_key: bool = True
) -> Caller:
    """The caller; raises `Unauthorized` or `ScopeMissing`.

    A given key decides alone; a bad one never falls back to the session. `needs` is
    None where the caller's own things need another scope than those of others.
    """
    request = ASGIRequest({**connection, "method": "GET"}, BytesIO())
    header = request.headers.get("Authorization", "")
    if header and by_key:
        principal: Principal | None = keys.principal_of_header(header)
    else:
        principal = _of_session(request)
    if principal is None:
        raise Unauthorized
    if needs is not None:
        require(principal, needs)
    return Caller(
        principal=principal,
        language=get_language_from_request(request),
    )


def _of_session(request: ASGIRequest) -> Principal | None:
    store = import_module(settings.SESSION_ENGINE).SessionStore
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    if not key:
        return None
    request.session = store(key)
    user = auth.get_user(request)
    return keys.principal_of_user(user) if user.is_authenticated else None


def is_own_page(connection: Connection) -> bool:
    """Whether a browser's Origin is ours, by the rule of Django's CSRF check.

    Cookies do not know ports, so another server's page on this machine would bring
    the session along. A client without an Origin is not a browser's page.
    """
    headers = dict(connection["headers"])
    origin = headers.get(b"origin", b"").decode("latin-1")
    host = headers.get(b"host", b"").decode("latin-1")
    if not origin or origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    allowed = validate_host(parts.hostname or "", settings.ALLOWED_HOSTS)
    return allowed and parts.netloc.lower() == host.lower()
