"""Who turns a key or a session into a `Principal`; making and revoking keys."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime, timedelta

from django.contrib.auth.models import (
    AbstractBaseUser,
    AnonymousUser,
    Permission,
    User,
)
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from history_app import audit
from runtime_app.governance.policy import bump_policy
from runtime_app.models import ApiKey
from venom_site.lib.access import Principal, Scope, expand
from venom_site.lib.errors import Conflict, NotFound, Unauthorized
from venom_site.lib.problems import METRICS

KEY_FORM = re.compile(r"venom_[A-Za-z0-9_-]{43}")
PREFIX_LENGTH = 12
_TOUCH_EVERY = timedelta(minutes=1)


def hash_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def principal_of(request: HttpRequest) -> Principal | None:
    """From `Authorization: Bearer` on paths for programs, else from the session.

    Raises `Unauthorized` for a key that is given but not good: a bad key never falls
    back to a session.
    """
    header = request.headers.get("Authorization", "")
    is_call = request.path == METRICS or request.path.startswith("/api/")
    if header and is_call:
        return principal_of_header(header)
    user: AbstractBaseUser | AnonymousUser = request.user
    return principal_of_user(user) if user.is_authenticated else None


def principal_of_header(header: str) -> Principal:
    scheme, _space, key = header.partition(" ")
    if scheme.lower() != "bearer" or not KEY_FORM.fullmatch(key.strip()):
        raise Unauthorized(_("Send the key as “Authorization: Bearer venom_…”."))
    row = ApiKey.objects.usable().filter(key_hash=hash_key(key.strip())).first()
    if row is None:
        raise Unauthorized(_("This key is unknown, expired or revoked."))
    _touch(row)
    return principal_of_key(row)


def _touch(row: ApiKey) -> None:
    now = timezone.now()
    if row.last_used_at is None or now - row.last_used_at > _TOUCH_EVERY:
        ApiKey.objects.filter(pk=row.pk).update(last_used_at=now)


def principal_of_key(row: ApiKey) -> Principal:
    held = frozenset(Scope(scope) for scope in row.scopes)
    scopes = expand(held)
    return Principal(
        kind="key",
        identifier=str(row.pk),
        name=row.name,
        scopes=scopes,
        may_view_payload=row.may_view_payload or Scope.GOVERN in scopes,
    )


def principal_of_user(user: AbstractBaseUser | AnonymousUser) -> Principal:
    is_superuser = getattr(user, "is_superuser", False)
    granted: set[str] = set() if is_superuser else _granted(user)
    held = {s for s in Scope if is_superuser or f"scope_{s.value}" in granted}
    return Principal(
        kind="user",
        identifier=str(user.pk),
        name=user.get_username(),
        scopes=expand(frozenset(held)),
        may_view_payload=is_superuser or "view_payload" in granted,
    )


def _granted(user: AbstractBaseUser | AnonymousUser) -> set[str]:
    """Our permissions that the user or one of its groups has, with one query: every
    page asks, and `get_all_permissions` would take two."""
    if not user.is_active:
        return set()
    mine = Q(user=user.pk) | Q(group__user=user.pk)
    rows = Permission.objects.filter(mine, content_type__app_label="runtime_app")
    return set(rows.values_list("codename", flat=True))


def create_key(
    name: str,
    scopes: list[Scope],
    *,
    actor: Principal,
    expires_at: datetime | None = None,
    owner: User | None = None,
) -> tuple[ApiKey, str]:
    """The row and the key itself, which can never be shown again.

    Raises `Conflict` for a name that is taken, revoked keys included.
    """
    key = f"venom_{secrets.token_urlsafe(32)}"
    row = ApiKey(
        name=name,
        prefix=key[:PREFIX_LENGTH],
        key_hash=hash_key(key),
        scopes=sorted(scope.value for scope in set(scopes)),
        expires_at=expires_at,
        owner=owner,
    )
    row.full_clean(validate_constraints=False, validate_unique=False)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            _record(actor, "create", row)
            bump_policy()
    except IntegrityError:
        raise Conflict(_("A key called “%(name)s” exists.") % {"name": name}) from None
    return row, key


def revoke_key(name: str, *, actor: Principal) -> ApiKey:
    """End a key now; gateways notice within a second."""
    with transaction.atomic():
        row = ApiKey.objects.filter(name=name).first()
        if row is None:
            raise NotFound(_("There is no key called “%(name)s”.") % {"name": name})
        if row.revoked_at is None:
            row.revoked_at = timezone.now()
            row.save(update_fields=["revoked_at"])
            _record(actor, "revoke", row)
            bump_policy()
    return row


def _record(actor: Principal, verb: str, row: ApiKey) -> None:
    audit.record(
        actor,
        f"key.{verb}",
        "api_key",
        row.pk,
        object_name=row.name,
        after={"scopes": row.scopes, "prefix": row.prefix},
    )
