"""`POST /models/prepare`: what stands between a model and its runtime."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from ninja import Router, Status

from models_app.api.operations import hold
from models_app.schemas.operations import Started
from models_app.schemas.prepare import (
    PrepareAnswer,
    PrepareBody,
    preparation_payload,
)
from models_app.services import convert, prepare
from models_app.services.fit import fit_payload
from venom_site.lib.access import Scope, require
from venom_site.lib.htmx import VenomRequest

router = Router()


@router.post(
    "/prepare",
    response={200: PrepareAnswer, 202: Started},
    summary="Would it run here?",
)
def prepare_model(
    request: VenomRequest, response: HttpResponse, body: PrepareBody
) -> Status[dict[str, Any]]:
    """Changes nothing without `apply`. Also for models that are not installed, from
    their catalogue."""
    actor = require(request.principal, Scope.OPERATE if body.apply else Scope.READ)
    found = prepare.prepare(
        body.wanted,
        runtime=body.runtime,
        provider=body.provider,
        revision=body.revision or "",
        dtype=body.dtype or "",
        quantization=body.quantization or "",
    )
    if not body.apply:
        return Status(200, preparation_payload(found, fit_payload(found.fit)))
    operation = convert.request_conversion(found, actor=actor)
    hold(response, operation, body.wait_seconds)
    message = convert.message_of(operation)
    return Status(202, {"operation_id": str(operation.pk), "message": message})
