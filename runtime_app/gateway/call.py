"""One HTTP request to the gateway, before anybody knows what it asks for."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from runtime_app.gateway.answers import Send, headers_for, send_refusal
from runtime_app.gateway.entries import Inside
from runtime_app.gateway.refusals import Refusal
from runtime_app.gateway.watch import Receive
from venom_site.lib.ids import uuid7

_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")


@dataclass(slots=True, kw_only=True)
class Call:
    scope: dict[str, Any]
    receive: Receive
    send: Send
    began: float
    headers: dict[bytes, bytes]
    row_id: UUID
    request_id: str
    inside: Inside | None = None

    @property
    def path(self) -> str:
        path: str = self.scope["path"]
        return path

    @property
    def keeps_contents(self) -> bool:
        return self.inside is None or self.inside.keeps_contents

    def kept_prompt(self, prompt: str) -> str:
        """What of it the history may keep; of a conversation only the last question."""
        if self.inside is None:
            return prompt
        return self.inside.prompt if self.keeps_contents else ""

    async def refuse(self, refusal: Refusal) -> None:
        headers = headers_for(self.request_id, reason=refusal.reason_code)
        await send_refusal(self.send, refusal, headers)


def call_of(scope: dict[str, Any], receive: Receive, send: Send) -> Call:
    """A well-formed `X-Request-Id` names the request, else the id of its row."""
    headers = dict(scope["headers"])
    given = headers.get(b"x-request-id", b"")
    inside: Inside | None = scope.get("venom.inside")
    row_id = inside.row_id if inside else uuid7()
    return Call(
        scope=scope,
        receive=receive,
        send=send,
        began=time.perf_counter(),
        headers=headers,
        row_id=row_id,
        request_id=given.decode() if _GIVEN_ID.fullmatch(given) else str(row_id),
        inside=inside,
    )
