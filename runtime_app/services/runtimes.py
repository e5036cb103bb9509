"""Runtimes as people and programs name them: find one, add one.

Adding writes only the row; whoever calls asks the health check to look at it.
"""

from __future__ import annotations

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from history_app import audit
from models_app.services.nodes import this_node
from runtime_app.choices import PROFILE_KINDS, RuntimeKind
from runtime_app.governance.policy import bump_policy
from runtime_app.models import Runtime
from runtime_app.runtimes.registry import adapter_for
from venom_site.lib import secrets
from venom_site.lib.access import Principal
from venom_site.lib.errors import Conflict, NotFound, OutsideProfile, VenomError


class UnknownRuntime(VenomError):
    """A body names a runtime that does not exist; in a path that is 404."""

    code = "unknown_runtime"
    http_status = 422


class NameTaken(Conflict):
    code = "name_taken"


def find_runtime(name: str) -> Runtime:
    """The runtime that a body names: 422 unknown, 403 outside the profile."""
    row = _row(name)
    if row is None and name not in RuntimeKind.values:
        raise UnknownRuntime(
            _("There is no runtime called “%(name)s”.") % {"name": name}
        )
    kind = row.kind if row else name
    if kind not in PROFILE_KINDS[settings.RUNTIME_PROFILE]:
        raise _outside(name, kind)
    if row is None:
        raise UnknownRuntime(_("“%(name)s” is not set up yet.") % {"name": name})
    return row


def get_runtime(name: str) -> Runtime:
    """The runtime at an address of a page or call: 404, or 403 outside the profile."""
    try:
        return find_runtime(name)
    except UnknownRuntime as error:
        raise NotFound(error.message) from None


def _row(name: str) -> Runtime | None:
    """This node's before another node's of the same name."""
    rows = list(Runtime.objects.filter(name=name).select_related("node"))
    rows.sort(key=lambda row: row.node.name != settings.NODE)
    return rows[0] if rows else None


def _outside(name: str, kind: str) -> OutsideProfile:
    having = sorted(p for p, kinds in PROFILE_KINDS.items() if kind in kinds)
    return OutsideProfile(
        _("“%(name)s” is outside the profile %(profile)s; it is in %(having)s.")
        % {
            "name": name,
            "profile": settings.RUNTIME_PROFILE,
            "having": ", ".join(having),
        },
        profile=settings.RUNTIME_PROFILE,
        profiles_with_it=having,
    )


def add_server(name: str, base_url: str, key: str, *, actor: Principal) -> Runtime:
    """A new OpenAI-compatible server; the values have passed `schemas` already."""
    kind = RuntimeKind.OPENAI_COMPATIBLE
    if kind not in PROFILE_KINDS[settings.RUNTIME_PROFILE]:
        raise _outside(name, kind)
    row = Runtime(
        node=this_node(),
        name=name,
        display_name=name,
        kind=kind,
        base_url=base_url,
        encrypted_key=secrets.encrypt(key) if key else "",
    )
    row.full_clean(validate_constraints=False)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            _record_added(actor, row, has_key=bool(key))
            bump_policy()
    except IntegrityError:
        raise NameTaken(
            _("A server called “%(name)s” exists.") % {"name": name}
        ) from None
    return row


def _record_added(actor: Principal, row: Runtime, *, has_key: bool) -> None:
    after = {"base_url": row.base_url, "kind": row.kind, "has_key": has_key}
    audit.record(
        actor, "runtime.add", "runtime", row.pk, object_name=row.name, after=after
    )


def list_now(runtime: Runtime) -> Runtime:
    """The row with what the server itself lists now; raises `WireError`."""
    runtime.served_models = adapter_for(runtime).list_models()
    return runtime
