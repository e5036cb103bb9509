"""Half downloads: which there are, and letting go of them.

What becomes of the bytes depends on whose store holds them: in ours they are deleted,
another program's `discard_note` says what it does. Our side is forgotten, so that a
retry starts anew.
"""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from models_app.choices import PROFILE_PROVIDERS, OperationStatus, OperationType
from models_app.models import Operation
from models_app.providers.base import HalfModel, Provider
from models_app.providers.registry import provider_for
from models_app.querysets import OperationQuerySet
from models_app.schemas.install import half_payload, partial_payload
from models_app.services.operation_rows import (
    announce,
    get_operation,
    record,
    write_log,
)
from models_app.services.operations import cancel_operation
from models_app.services.storage import halves_of, version_of
from venom_site.lib.access import Principal
from venom_site.lib.errors import Conflict
from venom_site.lib.units import size_text

logger = logging.getLogger(__name__)


def list_partials() -> list[Operation]:
    """Installs that hold bytes and have not ended well, newest first.

    An older attempt at a model is no longer a partial once a newer one went on with it.
    """
    installs = Operation.objects.filter(operation_type=OperationType.INSTALL)
    newer = installs.filter(
        target_key=OuterRef("target_key"), created_at__gt=OuterRef("created_at")
    )
    rows = installs.exclude(status=OperationStatus.COMPLETED).filter(bytes_done__gt=0)
    return list(rows.filter(~Exists(newer)).for_display().newest_first())


def partial_payloads() -> list[dict[str, Any]]:
    """As docs/api.md shows them, with the bytes that lie on this disk where the store
    is ours; a half download that no operation knows has no `operation_id`."""
    operations = list_partials()
    halves = {_key(provider, half): half for provider, half in _halves()}
    told = [
        partial_payload(row, halves.pop((row.provider, *version_of(row)), None))
        for row in operations
    ]
    open_now = {(row.provider, *version_of(row)) for row in _open_installs()}
    return told + [
        half_payload(key[0], half)
        for key, half in halves.items()
        if key not in open_now
    ]


def _halves() -> list[tuple[str, HalfModel]]:
    shown = sorted(PROFILE_PROVIDERS[settings.RUNTIME_PROFILE])
    return [(name, half) for name in shown for half in halves_of(name)]


def _key(provider: str, half: HalfModel) -> tuple[str, str, str]:
    return provider, half.name.lower(), half.revision


def _open_installs() -> OperationQuerySet:
    return Operation.objects.open().filter(
        node__name=settings.NODE, operation_type=OperationType.INSTALL
    )


def discard_install(operation: Operation, *, actor: Principal) -> Operation:
    """Forget what a paused, interrupted, failed or cancelled install has fetched."""
    _refuse_others(operation)
    if not operation.is_finished:
        cancel_operation(operation, actor=actor)
    store = provider_for(operation.provider)
    note = store.discard_note(operation.model_name)
    with transaction.atomic():
        rows: OperationQuerySet = Operation.objects.finished().filter(pk=operation.pk)
        if not rows.filter(bytes_done__isnull=False).update(
            bytes_done=None,
            bytes_total=None,
            speed_bps=None,
            progress=0,
            checkpoint={},
        ):
            raise Conflict(
                _("This operation has changed meanwhile. Look again."),
                operation_id=str(operation.pk),
            )
        write_log(operation.pk, f"Discarded by {actor.name}. {note}")
        record(actor, "discard", operation)
        fresh = get_operation(operation.pk)
        announce(fresh)
    _delete(store, operation)
    return fresh


def _delete(store: Provider, operation: Operation) -> None:
    """Whoever installs the same meanwhile goes on with the bytes: theirs stay."""
    if operation.node.name != settings.NODE:
        if store.is_own_store:
            where = operation.node.name
            write_log(operation.pk, f"Its bytes lie on {where}: discard it there too.")
        return
    key = (operation.provider, *version_of(operation))
    if key in {(row.provider, *version_of(row)) for row in _open_installs()}:
        return
    freed = store.discard(operation.model_name, version_of(operation)[1])
    if freed:
        write_log(operation.pk, f"{size_text(freed)} on the disk were freed.")


def _refuse_others(operation: Operation) -> None:
    if operation.operation_type != OperationType.INSTALL:
        message = _("Only a download can be discarded.")
    elif operation.is_running:
        message = _("It is running. Pause or cancel it first.")
    elif operation.status == OperationStatus.COMPLETED:
        message = _("It is installed. Remove the model instead.")
    elif operation.bytes_done is None:
        message = _("Nothing of it is kept.")
    else:
        return
    raise Conflict(
        message,
        operation_id=str(operation.pk),
        operation_type=operation.operation_type,
        status_now=operation.status,
    )


def discard_all(*, actor: Principal) -> list[Operation]:
    """Every partial that nobody is fetching now, also those of no operation."""
    held = [row for row in list_partials() if not row.is_running]
    discarded = [discard_install(row, actor=actor) for row in held]
    known = {(row.provider, *version_of(row)) for row in _open_installs()}
    for provider, half in _halves():
        if _key(provider, half) not in known:
            freed = provider_for(provider).discard(half.name, half.revision)
            logger.info("half download discarded name=%s bytes=%s", half.name, freed)
    return discarded
