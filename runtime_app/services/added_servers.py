"""Servers that people added by hand: another address or key, and taking one out.

Neither is done to the server that answers now, nor to one that an operation works on.
Like adding, this writes rows only; whoever calls asks the health check for a look.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from history_app import audit
from models_app.models import Operation
from runtime_app.choices import RuntimeKind, RuntimeStatus
from runtime_app.governance.policy import bump_policy
from runtime_app.models import Activation, Runtime
from venom_site.lib import secrets
from venom_site.lib.access import Principal
from venom_site.lib.errors import Conflict, OperationConflict

# What was seen at the former address says nothing about the new one.
UNSEEN: dict[str, Any] = {
    "status": RuntimeStatus.UNKNOWN,
    "version": "",
    "latency_ms": None,
    "served_models": [],
    "loaded_models": [],
    "failed_checks": 0,
    "error_message": "",
    "last_answer_at": None,
}


class ServerActive(Conflict):
    code = "server_active"


class NotAddedHere(Conflict):
    """Its address is a setting: the database follows the environment."""

    code = "not_added_here"


def change_server(
    runtime: Runtime,
    *,
    base_url: str,
    key: str,
    actor: Principal,
    forget_key: bool = False,
) -> Runtime:
    """The row with another address or key; an empty `key` keeps the stored one.

    The values have passed `schemas` already. Raises `NotAddedHere`, `ServerActive`
    and `OperationConflict`.
    """
    before = _facts(runtime)
    with transaction.atomic():
        _refuse_in_use(runtime)
        moved = runtime.base_url != base_url
        runtime.base_url = base_url
        if key or forget_key:
            runtime.encrypted_key = secrets.encrypt(key) if key else ""
        for name, value in (UNSEEN if moved else {}).items():
            setattr(runtime, name, value)
        runtime.full_clean(validate_constraints=False)
        seen = list(UNSEEN) if moved else []
        runtime.save(update_fields=["base_url", "encrypted_key", *seen])
        after = _facts(runtime) | ({"key_changed": True} if key else {})
        _record(actor, "runtime.change", runtime, before, after)
        bump_policy()
    return runtime


def remove_server(runtime: Runtime, *, actor: Principal) -> None:
    """Take the row out, with its samples and former activations; the server itself is
    not touched. Raises what `change_server` raises."""
    with transaction.atomic():
        _refuse_in_use(runtime)
        _record(actor, "runtime.remove", runtime, _facts(runtime), {})
        runtime.delete()
        bump_policy()


def in_the_way(runtime: Runtime) -> str:
    """Why it can be neither changed nor removed now; empty when it can."""
    try:
        _refuse_in_use(runtime)
    except Conflict as error:
        return str(error)
    return ""


def _refuse_in_use(runtime: Runtime) -> None:
    named = {"name": runtime.display_name}
    if runtime.kind != RuntimeKind.OPENAI_COMPATIBLE:
        words = _("The address of %(name)s is a setting of the environment.")
        raise NotAddedHere(words % named)
    if Activation.objects.active().filter(runtime=runtime).exists():
        words = _("%(name)s has the active model: switch away first.")
        raise ServerActive(words % named)
    works = Operation.objects.open().filter(
        runtime=runtime.name, node_id=runtime.node_id
    )
    if (holder := works.first()) is not None:
        words = _("“%(title)s” works on %(name)s. Cancel it or wait for its end.")
        raise OperationConflict(
            words % (named | {"title": holder.title}), operation_id=str(holder.pk)
        )


def _facts(runtime: Runtime) -> dict[str, Any]:
    return {"base_url": runtime.base_url, "has_key": bool(runtime.encrypted_key)}


def _record(
    actor: Principal,
    verb: str,
    runtime: Runtime,
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    audit.record(
        actor,
        verb,
        "runtime",
        runtime.pk,
        object_name=runtime.name,
        before=before,
        after=after,
    )
