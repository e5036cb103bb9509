"""The OpenAI-compatible gateway `/v1/…`: a plain ASGI app in front of Django.

`venom_site/asgi.py` mounts it. No middleware, no ORM and no thread on a request's
path: keys and routes come from the snapshot, history goes to the recorder. The state
belongs to one event loop; without a lifespan (daphne) the first request starts it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings

from history_app.choices import RequestStatus
from history_app.recorder import Handle, recorder
from runtime_app.gateway import listing
from runtime_app.gateway.answers import (
    JSON,
    Send,
    headers_for,
    send_refusal,
    send_whole,
)
from runtime_app.gateway.intake import authenticated, not_ready, read_body
from runtime_app.gateway.proxy import Deadlines, Exchange
from runtime_app.gateway.refusals import Refusal, Refused, history_fields
from runtime_app.gateway.routing import Route, choose_route
from runtime_app.gateway.schemas import CHAT, COMPLETIONS, EMBEDDINGS, Wish, read_wish
from runtime_app.gateway.snapshot import KeyEntry, Snapshot, SnapshotStore
from runtime_app.gateway.upstream import Upstreams, without_credentials
from runtime_app.gateway.watch import Receive
from venom_site.lib.ids import uuid7
from venom_site.lib.logging import request_id

logger = logging.getLogger(__name__)

ASGIScope = dict[str, Any]
POSTS = frozenset({CHAT, COMPLETIONS, EMBEDDINGS})
_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")


@dataclass(slots=True, kw_only=True)
class Call:
    """One HTTP request to the gateway."""

    scope: ASGIScope
    receive: Receive
    send: Send
    began: float
    headers: dict[bytes, bytes]
    request_id: str

    async def refuse(self, refusal: Refusal) -> None:
        await send_refusal(self.send, refusal, headers_for(self.request_id, None, 0))


class Gateway:
    """Snapshot, pools and deadlines of one event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._snapshots: SnapshotStore
        self._upstreams: Upstreams
        self._deadlines: Deadlines

    @property
    def snapshot(self) -> Snapshot | None:
        """What this process knows now; None before the first load."""
        return self._snapshots.present if self._loop else None

    def start(self) -> None:
        """Begin in the running loop; does nothing where it has begun."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        env = settings.ENV
        self._deadlines = Deadlines(
            connect=env.VENOM_CONNECT_SECONDS,
            first_byte=env.VENOM_FIRST_BYTE_SECONDS_LOCAL,
            idle=env.VENOM_STREAM_IDLE_SECONDS,
            total=env.VENOM_TOTAL_SECONDS,
        )
        self._upstreams = Upstreams(self._deadlines.connect)
        self._snapshots = SnapshotStore()
        self._snapshots.start()
        self._loop = loop

    async def stop(self) -> None:
        """End what `start` began and write the history down."""
        if self._loop is None:
            return
        self._loop = None
        await self._snapshots.stop()
        await self._upstreams.close()
        await sync_to_async(recorder.flush_at_exit, thread_sensitive=False)()

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        self.start()
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        call = Call(
            scope=scope,
            receive=receive,
            send=send,
            began=time.perf_counter(),
            headers=headers,
            request_id=given.decode() if _GIVEN_ID.fullmatch(given) else str(uuid7()),
        )
        request_id.set(call.request_id)
        try:
            await self._dispatch(call)
        except Refused as refused:
            await call.refuse(refused.refusal)

    async def _dispatch(self, call: Call) -> None:
        path, method = call.scope["path"], call.scope["method"]
        refusal = listing.no_such_call(path, method, POSTS)
        if refusal is not None:
            raise Refused(refusal)
        snapshot = await self._snapshots.first()
        if snapshot is None:
            raise Refused(not_ready())
        key = authenticated(call.headers.get(b"authorization", b""), snapshot)
        self._snapshots.note_use(key)
        if path in POSTS:
            await self._post(call, path, key, snapshot)
        else:
            body = listing.answer(path, snapshot)
            headers = headers_for(call.request_id, None, 0)
            await send_whole(call.send, 200, headers, JSON, body)

    async def _post(
        self, call: Call, path: str, key: KeyEntry, snapshot: Snapshot
    ) -> None:
        try:
            raw = await read_body(call.receive, call.headers)
            if raw is None:
                return  # the client left in the middle of its own body
            wish = read_wish(path, raw)
        except Refused as refused:
            handle = _begin(call, path, key, None)
            _end_refused(handle, call, refused.refusal)
            raise
        handle = _begin(call, path, key, wish)
        route = choose_route(wish.model, snapshot)
        if isinstance(route, Refusal):
            _end_refused(handle, call, route)
            raise Refused(route)
        _note_route(handle, route)
        await Exchange(
            wish=wish,
            route=route,
            upstream=self._upstreams.at(route.runtime.endpoint),
            deadlines=self._deadlines,
            handle=handle,
            began=call.began,
            receive=call.receive,
            send=call.send,
        ).carry()


def _begin(call: Call, path: str, key: KeyEntry, wish: Wish | None) -> Handle:
    return recorder.begin(
        request_id=call.request_id,
        path=path,
        key_id=key.id,
        key_name=key.name,
        prompt=wish.prompt() if wish else "",
        stream=wish.stream if wish else False,
        requested_model=(wish.model or "") if wish else "",
        parameters=wish.parameters() if wish else {},
    )


def _note_route(handle: Handle, route: Route) -> None:
    handle.update(
        llm_provider=route.runtime.provider,
        llm_model=route.served_name,
        llm_endpoint=without_credentials(route.runtime.endpoint),
        runtime=route.runtime.name,
        node=route.runtime.node,
        attempts=1,
        reason_code=route.reason_code,
    )


def _end_refused(handle: Handle, call: Call, refusal: Refusal) -> None:
    handle.end(
        RequestStatus.FAILED,
        http_status=refusal.status,
        duration_seconds=time.perf_counter() - call.began,
        **history_fields(refusal),
    )


app = Gateway()
