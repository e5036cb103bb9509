"""Server-sent events of a server's log: `/api/v1/system/llm-servers/<name>/logs`.

Only with `follow=1`; without it Django answers with the last lines. Events: `log` with
`runtime` and `line`, `heartbeat`; each `id:` is the place up to which the log was sent.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs

from runtime_app.gateway import event_stream
from runtime_app.gateway.event_stream import EventStream
from runtime_app.gateway.leaving import Receive, Send
from runtime_app.governance import callers
from runtime_app.services import runtimes, server_lines
from runtime_app.services.server_lines import Lines
from venom_site.lib.access import Scope
from venom_site.lib.errors import BadRequest
from venom_site.lib.offloop import off_loop

STREAM = re.compile(r"/api/v1/system/llm-servers/(?P<name>[^/]+)/logs")
TRUE = frozenset({"1", "true", "yes", "on"})
USUAL_LINES = 200


def is_stream(scope: dict[str, Any]) -> bool:
    if STREAM.fullmatch(scope["path"]) is None:
        return False
    return _asked(scope).get("follow", [""])[-1].lower() in TRUE


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one stream; refusals are problem+json."""
    await event_stream.serve(scope, receive, send, _admit)


def _admit(scope: dict[str, Any], send: Send) -> EventStream:
    callers.identify(scope, needs=Scope.READ)
    event_stream.refuse_other_methods(scope)
    match = STREAM.fullmatch(scope["path"])
    runtime = runtimes.get_runtime(match["name"] if match else "")
    lines = _lines(_asked(scope).get("lines", [str(USUAL_LINES)])[-1])
    server_lines.last_lines(runtime, 1)  # refuses where there is no log
    return LogStream(scope, send, runtime.name, lines)


def _asked(scope: dict[str, Any]) -> dict[str, list[str]]:
    return parse_qs(scope.get("query_string", b"").decode("latin-1"))


def _lines(text: str) -> int:
    most = server_lines.MOST_LINES
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= most:
        words = f"must be a whole number from 1 to {most}"
        raise BadRequest(errors=[{"loc": "query.lines", "message": words}])
    return int(text)


class LogStream(EventStream):
    subject = "runtime"
    needs = Scope.READ

    def __init__(
        self, scope: dict[str, Any], send: Send, name: str, lines: int
    ) -> None:
        super().__init__(scope, send, name)
        self._lines = lines
        self._place: str = self._given

    @property
    def place(self) -> str:
        return self._place

    async def tell(self) -> bool:
        found = await off_loop(_look, self._pk, self._place, self._lines)
        for number, line in enumerate(found.lines, start=1):
            if number == len(found.lines):
                self._place = found.place
            await self._event("log", {"runtime": self._pk, "line": line})
        self._place = found.place
        return False


def _look(name: str, place: str, lines: int) -> Lines:
    runtime = runtimes.get_runtime(name)
    if place:
        return server_lines.lines_after(runtime, place)
    return server_lines.first_lines(runtime, lines)
