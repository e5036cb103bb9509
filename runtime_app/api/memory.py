"""JSON calls about what is in memory: load, unload, pin (docs/api.md)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status

from models_app.models import Operation
from runtime_app.schemas import LoadBody, MemoryBody, PinBody, WaitingBody
from runtime_app.services import memory
from venom_site.lib.access import Scope, require

router = Router()


def _accepted(
    operation: Operation, response: HttpResponse, wait_seconds: float
) -> Status[dict[str, Any]]:
    """A 202; the header asks the ASGI wrapper to hold the answer."""
    if wait_seconds:
        response["X-Venom-Wait"] = f"{operation.pk};{wait_seconds:g}"
    return Status(
        202,
        {
            "success": True,
            "operation_id": str(operation.pk),
            "message": operation.title,
        },
    )


@router.post("/load", response={202: dict[str, Any]}, summary="Load into memory")
def load_model(
    request: HttpRequest, body: LoadBody, response: HttpResponse
) -> Status[dict[str, Any]]:
    """Without `runtime` the one that the model's provider delivers to, else the
    active one."""
    actor = require(request.principal, Scope.OPERATE)  # type: ignore[attr-defined]
    operation = memory.request_load(
        body.wanted, runtime=body.runtime or "", actor=actor, relief=body.relief
    )
    return _accepted(operation, response, body.wait_seconds)


@router.post("/unload", response={202: dict[str, Any]}, summary="Free its memory")
def unload_model(
    request: HttpRequest, body: MemoryBody, response: HttpResponse
) -> Status[dict[str, Any]]:
    """A request that runs on it ends first. 409 `unload_unsupported` where the server
    has no such call."""
    actor = require(request.principal, Scope.OPERATE)  # type: ignore[attr-defined]
    operation = memory.request_unload(
        body.wanted, runtime=body.runtime or "", actor=actor
    )
    return _accepted(operation, response, body.wait_seconds)


@router.post("/pin", response={200: dict[str, Any]}, summary="Keep it in memory")
def pin_model(request: HttpRequest, body: PinBody) -> dict[str, Any]:
    """A pinned model stays in memory once it is loaded, until somebody unloads it."""
    actor = require(request.principal, Scope.OPERATE)  # type: ignore[attr-defined]
    model = memory.set_pinned(
        body.wanted, pinned=body.pinned, runtime=body.runtime or "", actor=actor
    )
    return {
        "success": True,
        "name": model.name,
        "provider": model.provider,
        "runtime": model.runtime,
        "pinned": model.pinned,
    }


@router.post("/unload-all", response={202: dict[str, Any]}, summary="Free all memory")
def unload_all(
    request: HttpRequest, response: HttpResponse, body: WaitingBody | None = None
) -> Status[dict[str, Any]]:
    """Pinned models too; servers that cannot unload are skipped. Ends no process."""
    actor = require(request.principal, Scope.OPERATE)  # type: ignore[attr-defined]
    operation = memory.request_unload_all(actor=actor)
    return _accepted(operation, response, body.wait_seconds if body else 0)
