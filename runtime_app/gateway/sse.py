"""Server-sent events of one operation: `/api/v1/models/operations/<id>/stream`.

Events: `log`, `operation_update`, `heartbeat`, `operation_finished`; each `id:` is the
last log row sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from models_app.models import Operation
from models_app.models.operations import LOG_LINES_SHOWN
from models_app.schemas.operations import log_line_payload, operation_payload
from models_app.services import operation_lists, operations
from runtime_app.gateway import event_stream
from runtime_app.gateway.event_stream import EventStream
from runtime_app.gateway.leaving import Receive, Send
from runtime_app.governance import callers
from venom_site.lib.access import Scope
from venom_site.lib.offloop import off_loop

STREAM = re.compile(r"/api/v1/models/operations/(?P<pk>[^/]+)/stream")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at the row found."""

    payload: dict[str, Any]
    is_finished: bool
    lines: list[tuple[int, dict[str, Any]]]


def is_stream(path: str) -> bool:
    return STREAM.fullmatch(path) is not None


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one stream; refusals are problem+json."""
    await event_stream.serve(scope, receive, send, _admit)


def _admit(scope: dict[str, Any], send: Send) -> EventStream:
    """The stream of the operation, once the caller may read it."""
    callers.identify(scope, needs=Scope.READ)
    event_stream.refuse_other_methods(scope)
    match = STREAM.fullmatch(scope["path"])
    pk = str(operations.get_operation(match["pk"] if match else "").pk)
    return OperationStream(scope, send, pk)


class OperationStream(EventStream):
    subject = "operation_id"
    needs = Scope.READ

    def __init__(self, scope: dict[str, Any], send: Send, pk: str) -> None:
        super().__init__(scope, send, pk)
        # All of it for a place that is no number.
        known = re.fullmatch(r"[0-9]{1,18}", self._given)
        self._last = int(self._given) if known else 0
        self._shown: dict[str, Any] | None = None

    @property
    def place(self) -> str:
        return str(self._last)

    async def tell(self) -> bool:
        found = await off_loop(_look, self._pk, self._last)
        for row, line in found.lines:
            self._last = row
            await self._event("log", line)
        if found.payload != self._shown:
            self._shown = found.payload
            await self._event("operation_update", found.payload)
        if found.is_finished and len(found.lines) < LOG_LINES_SHOWN:
            await self._event("operation_finished", found.payload)
            return True
        return False


def _look(pk: str, after: int) -> Look:
    """The row first, then its log: a finished row has written all its lines."""
    operation: Operation = operations.get_operation(pk)
    lines = operation_lists.log_of(operation, after=after)
    return Look(
        payload=operation_payload(operation),
        is_finished=operation.is_finished,
        lines=[(line.pk, log_line_payload(line)) for line in lines],
    )
