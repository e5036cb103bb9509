"""The wish to convert a model for vLLM: refused, or an operation.

What a conversion would help is said by `prepare_conversion.py`; it is carried out by
`converting.py`.
"""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from models_app.choices import OperationType
from models_app.models import Node, Operation
from models_app.services.complaints import can_convert
from models_app.services.operations import request_operation
from models_app.services.prepare import Preparation
from models_app.services.prepare_conversion import (
    Conversion,
    NotConvertible,
    lacking_room,
)
from models_app.services.targets import model_target
from venom_site.lib.access import Principal
from venom_site.lib.errors import DoesNotFit
from venom_site.lib.names import short_revision
from venom_site.lib.units import size_text


def request_conversion(found: Preparation, *, actor: Principal) -> Operation:
    """Write the operation, or join the one that does the same; raises
    `NotConvertible`, `DoesNotFit` or `OperationConflict`."""
    wanted = found.conversion
    if wanted is None:
        raise NotConvertible(_why_not(found), action=found.action)
    model = wanted.model
    with transaction.atomic():
        Node.objects.select_for_update().get(pk=model.node_id)  # one sum at a time
        if lacking := lacking_room(wanted):
            raise DoesNotFit(
                _("Converting it needs %(needed)s; %(free)s are left.")
                % {
                    "needed": size_text(lacking.needed_bytes),
                    "free": size_text(lacking.free_bytes),
                },
                limit=lacking.limit,
                needed_bytes=lacking.needed_bytes,
                free_bytes=lacking.free_bytes,
            )
        return request_operation(
            OperationType.INSTALL,
            actor=actor,
            node=model.node,
            target_key=model_target(model.node, model.provider, model.name),
            provider=model.provider,
            runtime=model.runtime,
            model_name=model.name,
            params=_params(wanted),
        )


def _params(wanted: Conversion) -> dict[str, object]:
    return {
        "convert_from": wanted.model.revision,
        "revision": wanted.revision,
        "asked_revision": wanted.revision,  # who installs the name does not join this
        "dtype": wanted.dtype,
        "quantization": wanted.quantization,
        "wish": wanted.wish,
        "reserved_bytes": wanted.needed_bytes,
    }


def _why_not(found: Preparation) -> str:
    if found.action == "none":
        return _("vLLM loads it as it is: there is nothing to convert.")
    if not can_convert():
        return _("No command for conversions is set: VLLM_PREPARE_COMMAND.")
    if found.effects:
        return found.effects[-1]
    refused = next((check.message for check in found.checks if not check.ok), "")
    return _("A conversion would not help. %(reason)s") % {"reason": refused}


def message_of(operation: Operation) -> str:
    return _("“%(name)s” will be converted: revision %(short)s beside it.") % {
        "name": operation.model_name,
        "short": short_revision(str(operation.params.get("revision", ""))),
    }
