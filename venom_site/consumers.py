"""The two sockets: `/ws/ui/` pushes fragments to pages, `/ws/events/` JSON to programs.

Plain ASGI beside Django: Channels carries the events between processes, `listening`
brings them here, and a consumer of its own per socket would cost a dispatch and a
thread per message (measured). The session is read once at
connect and looked at again once a minute. Closes with 4401 signed out, 4403 without
the scope, 1013 when events do not arrive: the page then polls.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from typing import Any, ClassVar
from urllib.parse import parse_qs

from django.db import DatabaseError

from runtime_app.gateway.leaving import Receive, Send, while_present
from runtime_app.governance import callers
from runtime_app.governance.callers import Caller
from venom_site import fragments
from venom_site.lib.access import Scope
from venom_site.lib.errors import ScopeMissing, Unauthorized, VenomError
from venom_site.lib.events import INTERNAL
from venom_site.lib.listening import Ear, listening
from venom_site.lib.offloop import off_loop

logger = logging.getLogger(__name__)

SIGNED_OUT = 4401
NOT_ALLOWED = 4403
TRY_LATER = 1013
DEFECT = 1011

UPDATE_GAP_SECONDS = 0.5  # at most two updates a second of one object
LOOK_UP_SECONDS = 5.0
ACCESS_SECONDS = 60.0
MOST_PENDING = 1000
MOST_TOPICS = 20


class Socket:
    """What both doors share: who listens, and when it must be closed."""

    by_key: ClassVar[bool]

    def __init__(self, connection: dict[str, Any], send: Send, caller: Caller) -> None:
        self._connection = connection
        self._send = send
        self._caller = caller
        self._pending: dict[str, Any] = {}
        self._wake = asyncio.Event()
        self._checked_at = time.monotonic()

    def hear(self, event: dict[str, Any]) -> None:
        """Keep the news; must return at once."""
        raise NotImplementedError

    async def send_pending(self) -> None:
        """Send what is due."""
        raise NotImplementedError

    def _patience(self) -> float:
        """How long nothing needs doing."""
        return LOOK_UP_SECONDS

    async def run(self, ear: Ear) -> None:
        """Until the client leaves or there is a reason to close."""
        while (code := await self._reason_to_close(ear)) is None:
            await self.send_pending()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._patience())
            self._wake.clear()
        await self._send({"type": "websocket.close", "code": code})

    async def _reason_to_close(self, ear: Ear) -> int | None:
        if ear.is_deaf or len(self._pending) > MOST_PENDING:
            return TRY_LATER
        if time.monotonic() - self._checked_at < ACCESS_SECONDS:
            return None
        self._checked_at = time.monotonic()
        found = await admit(self._connection, by_key=self.by_key)
        if isinstance(found, int):
            return found if found != TRY_LATER else None  # a database away, not them
        self._caller = found
        return None


class PageSocket(Socket):
    """Fragments for one page: the latest of each object, twice a second at most."""

    by_key = False

    def __init__(self, connection: dict[str, Any], send: Send, caller: Caller) -> None:
        super().__init__(connection, send, caller)
        self._topics = _topics(connection)
        self._shown_at: dict[str, float] = {}
        self._shown: dict[str, str] = {}

    def hear(self, event: dict[str, Any]) -> None:
        for change in fragments.changes(event):
            if change.concerns(self._topics):
                self._pending[change.key] = (change, event)
                self._wake.set()

    def _patience(self) -> float:
        now = time.monotonic()
        return min(
            (self._left(key, now) for key in self._pending), default=LOOK_UP_SECONDS
        )

    def _left(self, key: str, now: float) -> float:
        return max(0.0, self._shown_at.get(key, 0.0) + UPDATE_GAP_SECONDS - now)

    async def send_pending(self) -> None:
        now = time.monotonic()
        due = [key for key in self._pending if self._left(key, now) == 0]
        parts = [await self._part(key) for key in due]
        if text := "".join(parts):
            await self._send({"type": "websocket.send", "text": text})
        self._forget_old(now)

    async def _part(self, key: str) -> str:
        """The fragment, or nothing when it looks as it did."""
        change, event = self._pending.pop(key)
        self._shown_at[key] = time.monotonic()
        try:
            html = await fragments.shared().html(change, event, self._caller)
        except DatabaseError as error:
            logger.warning("fragment not drawn, the next event brings it %s", error)
            return ""
        if self._shown.get(key) == html:
            return ""
        self._shown[key] = html
        return html

    def _forget_old(self, now: float) -> None:
        if len(self._shown_at) < MOST_PENDING:
            return
        old = [key for key, at in self._shown_at.items() if now - at > 60]
        for key in old:
            del self._shown_at[key]
            self._shown.pop(key, None)


class EventSocket(Socket):
    """Events as JSON; a reader that falls behind gets the latest of each object."""

    by_key = True

    def hear(self, event: dict[str, Any]) -> None:
        if event["type"] in INTERNAL:
            return
        data = event["data"]
        own = data.get("operation_id") or data.get("task_id") or event["id"]
        self._pending[f"{event['type']} {own}"] = event
        self._wake.set()

    async def send_pending(self) -> None:
        while self._pending:
            event = self._pending.pop(next(iter(self._pending)))
            text = json.dumps(event)
            await self._send({"type": "websocket.send", "text": text})


DOORS: dict[str, type[Socket]] = {"/ws/ui/": PageSocket, "/ws/events/": EventSocket}


def _topics(connection: dict[str, Any]) -> frozenset[str]:
    """`?topics=ops,runtimes,operation-<id>`: what the page shows besides its frame."""
    given = parse_qs(connection["query_string"].decode("latin-1")).get("topics", [""])
    return frozenset(given[0].split(",")[:MOST_TOPICS])


async def admit(connection: dict[str, Any], *, by_key: bool) -> Caller | int:
    """Who is at the door, or the code to close it with."""
    try:
        return await off_loop(
            callers.identify, connection, needs=Scope.READ, by_key=by_key
        )
    except Unauthorized:
        return SIGNED_OUT
    except ScopeMissing:
        return NOT_ALLOWED
    except (VenomError, DatabaseError) as error:
        logger.warning("nobody can be recognised now %s", error)
        return TRY_LATER


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """One socket, from its opening to its end."""
    door = DOORS.get(scope["path"])
    await receive()
    if door is None or not callers.is_own_page(scope):
        await send({"type": "websocket.close", "code": NOT_ALLOWED})
        return
    try:
        await _serve(door, scope, receive, send)
    except OSError as error:  # gone between two of our messages
        logger.debug("socket closed under us %s", error)
    except Exception:
        logger.exception("socket ended by a defect path=%s", scope["path"])
        with contextlib.suppress(Exception):
            await send({"type": "websocket.close", "code": DEFECT})


async def _serve(
    door: type[Socket], scope: dict[str, Any], receive: Receive, send: Send
) -> None:
    """Events must arrive before the page hears «open» and fetches its rows."""
    found = await admit(scope, by_key=door.by_key)
    if isinstance(found, int):  # only an accepted socket can tell the page why
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": found})
        return
    socket = door(scope, send, found)
    async with listening(socket.hear) as ear:
        await send({"type": "websocket.accept"})
        await while_present(receive, socket.run(ear))
