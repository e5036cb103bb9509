"""The OpenAI-compatible gateway `/v1/…`: a plain ASGI app in front of Django.

`venom_site/asgi.py` mounts it. No middleware, no ORM and no thread on a request's
path: keys and routes come from the snapshot, history goes to the recorder. The state
belongs to one event loop; without a lifespan (daphne) the first request starts it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings

from history_app.choices import RequestStatus
from history_app.recorder import recorder
from runtime_app.gateway import failures, listing
from runtime_app.gateway.answers import (
    JSON,
    Send,
    headers_for,
    send_whole,
)
from runtime_app.gateway.call import Call, call_of
from runtime_app.gateway.entries import KeyEntry, Snapshot
from runtime_app.gateway.intake import (
    authenticated,
    check_scope,
    not_ready,
    read_body,
)
from runtime_app.gateway.journey import Journey, Means
from runtime_app.gateway.presence import InFlight, Presence
from runtime_app.gateway.proxy import Deadlines
from runtime_app.gateway.refusals import Refused
from runtime_app.gateway.rows import Row
from runtime_app.gateway.schemas import CHAT, COMPLETIONS, EMBEDDINGS, read_wish
from runtime_app.gateway.snapshot import SnapshotStore
from runtime_app.gateway.troubles import troubles
from runtime_app.gateway.upstream import Upstreams
from runtime_app.gateway.watch import Receive
from venom_site.lib.logging import request_id

logger = logging.getLogger(__name__)

ASGIScope = dict[str, Any]
POSTS = frozenset({CHAT, COMPLETIONS, EMBEDDINGS})


class Gateway:
    """Snapshot, pools and deadlines of one event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._snapshots: SnapshotStore
        self._presence: Presence
        self._means: Means

    @property
    def snapshot(self) -> Snapshot | None:
        """What this process knows now; None before the first load."""
        return self._snapshots.present if self._loop else None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Where it serves; None before the start and after the end."""
        return self._loop

    def start(self) -> None:
        """Begin in the running loop; does nothing where it has begun."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        env = settings.ENV
        deadlines = Deadlines(
            connect=env.VENOM_CONNECT_SECONDS,
            first_byte=env.VENOM_FIRST_BYTE_SECONDS_LOCAL,
            idle=env.VENOM_STREAM_IDLE_SECONDS,
            total=env.VENOM_TOTAL_SECONDS,
        )
        self._snapshots = SnapshotStore()
        self._snapshots.start()
        in_flight = InFlight()
        self._presence = Presence(self._snapshots, in_flight)
        self._presence.start()
        self._means = Means(
            in_flight=in_flight,
            snapshots=self._snapshots,
            upstreams=Upstreams(deadlines.connect),
            deadlines=deadlines,
        )
        self._loop = loop
        recorder.start()

    async def catch_up(self) -> None:
        """Know what is committed now, so that who switched a model can use it."""
        if self._loop is not None:
            await self._snapshots.try_refresh()

    async def stop(self) -> None:
        """End what `start` began and write the history down; that first, because the
        other writes may wait for a lock."""
        if self._loop is None:
            return
        self._loop = None
        async with AsyncExitStack() as parts:  # each ends, whatever befalls the others
            parts.push_async_callback(troubles.stop)
            parts.push_async_callback(self._means.upstreams.close)
            parts.push_async_callback(self._snapshots.stop)
            parts.push_async_callback(self._presence.stop)
            await sync_to_async(recorder.flush_at_exit, thread_sensitive=False)()

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        self.start()
        call = call_of(scope, receive, send)
        request_id.set(call.request_id)
        try:
            await self._dispatch(call)
        except Refused as refused:
            await call.refuse(refused.refusal)
        except Exception:
            logger.exception("gateway failed path=%s", scope["path"])
            await call.refuse(failures.internal())

    async def _dispatch(self, call: Call) -> None:
        path, method = call.scope["path"], call.scope["method"]
        refusal = listing.no_such_call(path, method, POSTS)
        if refusal is not None:
            raise Refused(refusal)
        snapshot = await self._snapshots.first()
        if snapshot is None:
            raise Refused(not_ready())
        key, snapshot = await self._admitted(call, snapshot)
        if call.inside is None:
            self._snapshots.note_use(key)
        if path in POSTS:
            await self._post(call, path, key, snapshot)
        else:
            check_scope(key)
            body = listing.answer(path, snapshot)
            headers = headers_for(call.request_id)
            await send_whole(call.send, 200, headers, JSON, body)

    async def _admitted(
        self, call: Call, snapshot: Snapshot
    ) -> tuple[KeyEntry, Snapshot]:
        """The key and the snapshot that knows it; raises `Refused` with 401. A stranger
        leaves no row: whoever has no key could fill the history."""
        if call.inside is not None:
            return call.inside.key, snapshot
        header = call.headers.get(b"authorization", b"")
        try:
            return authenticated(header, snapshot), snapshot
        except Refused:
            if not await self._snapshots.look_again():
                raise
        newer = self._snapshots.present or snapshot
        return authenticated(header, newer), newer

    async def _post(
        self, call: Call, path: str, key: KeyEntry, snapshot: Snapshot
    ) -> None:
        try:
            if call.inside is None:
                check_scope(key)
            raw = await read_body(call.receive, call.headers)
            if raw is None:  # the client left in the middle of its own body
                Row(call, key).end(RequestStatus.CANCELLED)
                return
            wish = read_wish(path, raw)
        except Refused as refused:
            refusal = refused.refusal
            Row(call, key).end(
                RequestStatus.FAILED, code=refusal.status, refusal=refusal
            )
            raise
        await Journey(
            call=call, wish=wish, key=key, snapshot=snapshot, means=self._means
        ).carry()


app = Gateway()
