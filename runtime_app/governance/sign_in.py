"""What surrounds a sign-in: the brake on guessing, and the audit of how it ended.

Called by `views/access.py`. Knows names and addresses, never a password.
"""

from __future__ import annotations

import hashlib
import ipaddress

from django.contrib.auth.models import AbstractBaseUser, User
from django.utils.translation import gettext as _

from history_app import audit
from runtime_app.governance.keys import principal_of_user
from venom_site.lib import counters
from venom_site.lib.access import Principal
from venom_site.lib.errors import TooManyRequests

MOST_FAILURES = 10
WINDOW_SECONDS = 300


def is_loopback(address: str) -> bool:
    """Whether the caller sits on this machine; an unknown address does not count."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)


def _counter(name: str, address: str) -> str:
    who = f"{address}|{name.lower()}"
    return "sign-in:" + hashlib.sha256(who.encode()).hexdigest()


def count_attempt(name: str, address: str) -> None:
    """Raises `TooManyRequests` for the eleventh attempt of five minutes."""
    count, left = counters.hit(_counter(name, address), window_seconds=WINDOW_SECONDS)
    if count > MOST_FAILURES:
        raise TooManyRequests(
            _("Too many failed attempts to sign in. Wait %(n)s s and try again.")
            % {"n": left},
            retry_after=left,
        )


def note_success(user: AbstractBaseUser, address: str, *, by: str) -> None:
    """Forgive the failures before it and write the audit row."""
    counters.reset(_counter(user.get_username(), address))
    _record(principal_of_user(user), "session.sign_in", user, address, by=by)


def note_sign_out(user: AbstractBaseUser, address: str) -> None:
    _record(principal_of_user(user), "session.sign_out", user, address)


def note_failure(name: str, address: str) -> None:
    """A name that nobody has may be a password in the wrong field: not written."""
    user = User.objects.filter(username=name).first()
    known = user.get_username() if user else ""
    someone = Principal(
        kind="user", identifier="", name=known or "unknown", scopes=frozenset()
    )
    _record(someone, "session.refuse", user, address)


def _record(
    actor: Principal,
    verb: str,
    user: AbstractBaseUser | None,
    address: str,
    **after: str,
) -> None:
    audit.record(
        actor,
        verb,
        "user",
        user.pk if user else "",
        object_name=user.get_username() if user else "",
        after={"address": address} | after,
    )
