"""What follows an install where it is wanted: the model is activated.

An operation of its own, asked for in the name of whoever asked for the install.
"""

from __future__ import annotations

from dataclasses import replace

from django.db import transaction

from models_app.choices import PROVIDER_RUNTIMES, LogLevel, OperationType
from models_app.models import Operation
from models_app.services.operations import request_operation
from models_app.services.storage import version_of
from models_app.services.targets import activation_target, runtimes_lock
from models_app.services.work import Fenced, Work
from venom_site.lib.access import SYSTEM
from venom_site.lib.errors import OperationConflict


def start_activation(work: Work) -> None:
    """Let the activation follow where it is wanted: once, even if this runs twice."""
    try:
        with transaction.atomic():
            rows = Operation.objects.claimed_by(work.operation.pk, work.token)
            install = rows.select_for_update().first()
            if install is None:
                raise Fenced
            if install.params.get("activate") == "now":
                _follow_up(install)
    except OperationConflict as error:
        work.log(f"It is not activated: {error}", LogLevel.WARNING)


def _follow_up(install: Operation) -> None:
    if install.children.filter(operation_type=OperationType.ACTIVATE).exists():
        return
    request_operation(
        OperationType.ACTIVATE,
        actor=replace(SYSTEM, name=install.started_by),
        node=install.node,
        target_key=activation_target(install.node),
        lock_key=runtimes_lock(install.node),
        provider=install.provider,
        runtime=PROVIDER_RUNTIMES[install.provider],
        model_name=install.model_name,
        params={"model": install.model_name}
        | ({"revision": revision} if (revision := version_of(install)[1]) else {}),
        parent=install,
    )
