"""The wish to install: refused before anything is written, or an operation.

What is wished for is read in `install_wish.py`, told in findings by `install_check.py`,
carried out by `installing.py`; half downloads are thrown away by `partials.py`.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from models_app.choices import OperationType, ProviderName
from models_app.models import Node, Operation
from models_app.providers.base import UnsupportedModel
from models_app.services.install_wish import (
    Measured,
    Wish,
    in_its_own_letters,
    invalid,
    lacks,
    local_only,
    measure,
    read_revision,
    read_wish,
    remedy,
    room_lacking,
    runs_in_a_cloud,
)
from models_app.services.operation_rows import record, write_log
from models_app.services.operations import request_operation, taken_by
from models_app.services.room import proposal_for, proposal_payload
from models_app.services.storage import Shortage
from venom_site.lib.access import Principal
from venom_site.lib.errors import (
    ConfirmRequired,
    Conflict,
    DoesNotFit,
    Forbidden,
    IncompatibleRuntime,
)
from venom_site.lib.units import size_text

ACTIVATE_CHOICES = ("no", "now")


class PolicyLocalOnly(Forbidden):
    """This installation runs nothing in a cloud."""

    code = "POLICY_LOCAL_ONLY"


def request_install(
    provider: str,
    name: str,
    *,
    actor: Principal,
    runtime: str = "",
    revision: str = "",
    confirm_large: bool = False,
    activate: str = "no",
    not_before: datetime | None = None,
) -> Operation:
    """Write the operation, or join the one that installs the same already.

    Installing what is installed looks for a newer version under the same name.
    """
    wish = read_wish(provider, name)
    _refuse_options(wish, runtime=runtime, revision=revision, activate=activate)
    if (holder := wish.holder) is not None and _is_of(holder, revision):
        return _join(holder, activate, actor)
    measured = measure(wish, revision)
    _refuse_source(measured)
    wish = in_its_own_letters(wish, measured.manifest)
    pinned = measured.manifest.revision if measured.manifest else revision
    if holder is not None:
        return _join_same(holder, pinned, activate, actor)
    with transaction.atomic():
        Node.objects.select_for_update().get(pk=wish.node.pk)  # one sum at a time
        lacking = room_lacking(wish, measured)
        if lacking is not None:
            raise _does_not_fit(wish, lacking)
        if measured.needs_confirmation and not confirm_large:
            raise _confirm_required(wish, measured)
        operation = request_operation(
            OperationType.INSTALL,
            actor=actor,
            node=wish.node,
            target_key=wish.target,
            provider=wish.provider,
            runtime=wish.runtime,
            model_name=wish.name,
            not_before=not_before,
            params={
                "activate": activate,
                "size_bytes": measured.manifest and measured.manifest.size_bytes,
                "reserved_bytes": measured.needed_bytes,
            }
            | _version(pinned, revision),
        )
    return _join(operation, activate, actor)


def _refuse_options(wish: Wish, *, runtime: str, revision: str, activate: str) -> None:
    if runtime and runtime != wish.runtime:
        raise IncompatibleRuntime(
            _("Models of %(provider)s run on “%(right)s”, not on “%(wrong)s”.")
            % {
                "provider": ProviderName(wish.provider).label,
                "right": wish.runtime,
                "wrong": runtime[:60],
            },
            provider=wish.provider,
            runtime=wish.runtime,
        )
    read_revision(wish, revision)
    if activate not in ACTIVATE_CHOICES:
        message = _("must be “no” or “now”: activating when idle is not built yet")
        raise invalid("activate", message)
    if settings.ENV.OLLAMA_NO_CLOUD and runs_in_a_cloud(wish.name):
        raise PolicyLocalOnly(local_only(wish), model=wish.name)


def _refuse_source(measured: Measured) -> None:
    if measured.refusal is not None:
        raise measured.refusal
    if measured.manifest and measured.manifest.complaint:
        raise UnsupportedModel(str(measured.manifest.complaint))


def _version(pinned: str, asked: str) -> dict[str, str]:
    """What is fetched, a commit as soon as the source could be asked, and what was
    asked for: another who asks for the same branch joins without asking the source."""
    told = {"revision": pinned, "asked_revision": asked}
    return {name: value for name, value in told.items() if value}


def _is_of(holder: Operation, revision: str) -> bool:
    return revision in (
        holder.params.get("asked_revision", ""),
        holder.params.get("revision", ""),
    )


def _join_same(
    holder: Operation, pinned: str, activate: str, actor: Principal
) -> Operation:
    """Two names of one commit are one wish; two commits of a name come one by one."""
    if holder.params.get("revision", "") == pinned:
        return _join(holder, activate, actor)
    raise taken_by(holder)


def _does_not_fit(wish: Wish, lacking: Shortage) -> DoesNotFit:
    return DoesNotFit(
        lacks(wish, lacking) + " " + remedy(lacking),
        limit=lacking.limit,
        needed_bytes=lacking.needed_bytes,
        free_bytes=lacking.free_bytes,
        proposal=proposal_payload(proposal_for(wish.node, lacking.missing_bytes)),
    )


def _confirm_required(wish: Wish, measured: Measured) -> ConfirmRequired:
    return ConfirmRequired(
        _("“%(name)s” is %(size)s large. Confirm the size (confirm_large) to start.")
        % {"name": wish.name, "size": size_text(measured.needed_bytes)},
        size_bytes=measured.needed_bytes,
    )


def _join(operation: Operation, activate: str, actor: Principal) -> Operation:
    """Let the open install also do what this wish adds: activate afterwards."""
    if operation.operation_type != OperationType.INSTALL:
        raise taken_by(operation)
    if activate == operation.params.get("activate", "no") or activate == "no":
        return operation
    with transaction.atomic():
        rows = Operation.objects.open().select_for_update(of=("self",))
        fresh = rows.select_related("node").filter(pk=operation.pk).first()
        if fresh is None:
            raise Conflict(
                _("The install has just ended. Activate the model."),
                operation_id=str(operation.pk),
            )
        fresh.params = fresh.params | {"activate": activate}
        fresh.save(update_fields=["params"])
        write_log(fresh.pk, f"{actor.name} wants it activated afterwards.")
        record(actor, "join", fresh)
    return fresh
