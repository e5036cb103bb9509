"""One-time sign-in links: they create the owner, later they sign the owner in.

`manage.py prepare` makes one at every start; `views/access.py` shows and consumes it.
Only the SHA-256 of a token is stored, and nothing here may log the token itself.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from history_app import audit
from runtime_app.governance.groups import ensure_groups
from runtime_app.models import SignInLink
from venom_site.lib.access import SYSTEM
from venom_site.lib.errors import Conflict, VenomError

LIFE = timedelta(minutes=15)
KEPT = timedelta(days=1)
OWNER_GROUP = "Admin"


class LinkUsed(VenomError):
    code = "sign_in_link_used"
    http_status = 410


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def create_link() -> str:
    """A new token of 32 random bytes; it works once within 15 minutes."""
    token = secrets.token_urlsafe(32)
    expires_at = timezone.now() + LIFE
    SignInLink.objects.create(token_hash=_hash(token), expires_at=expires_at)
    return token


def is_usable(token: str) -> bool:
    """Whether `consume_link` would take it now; changes nothing."""
    return _usable(token).exists()


def _usable(token: str) -> QuerySet[SignInLink]:
    """A link made in the future is not good either: the clock has been set back."""
    now = timezone.now()
    return SignInLink.objects.filter(
        token_hash=_hash(token),
        used_at__isnull=True,
        expires_at__gt=now,
        expires_at__lte=now + LIFE,
    )


def owner() -> User | None:
    """The first superuser who can still sign in."""
    owners = User.objects.filter(is_superuser=True, is_active=True)
    return owners.order_by("pk").first()


def consume_link(token: str, *, name: str = "owner", password: str = "") -> User:
    """Use the link up and return the owner, who is made when there is none yet.

    `name` and `password` count only for a new owner; without a password the owner
    signs in by link. Raises `LinkUsed`, or `Conflict` for a name that is taken.
    """
    ensure_groups()
    with transaction.atomic():
        # Two links at once must not make two owners: whoever comes second waits here.
        group = Group.objects.select_for_update().get(name=OWNER_GROUP)
        if not _usable(token).update(used_at=timezone.now()):
            raise LinkUsed(_("This sign-in link was used or has expired."))
        return owner() or _make_owner(name, password, group)


def _make_owner(name: str, password: str, group: Group) -> User:
    try:
        with transaction.atomic():
            user = User.objects.create_superuser(name, password=password or None)
    except IntegrityError:
        text = _("A person called “%(name)s” exists. Choose another name.")
        raise Conflict(text % {"name": name}) from None
    user.groups.add(group)
    audit.record(SYSTEM, "user.create_owner", "user", user.pk, object_name=name)
    return user


def forget_old_links() -> int:
    """Delete links that ended a day ago; returns how many."""
    ended = SignInLink.objects.filter(expires_at__lt=timezone.now() - KEPT)
    return ended.delete()[0]
