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
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings

from history_app.choices import RequestStatus
from history_app.recorder import Handle, RequestFields, recorder
from runtime_app.gateway import failures, listing
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
    row_id: UUID
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

    async def catch_up(self) -> None:
        """Know what is committed now, so that who switched a model can use it."""
        if self._loop is not None:
            await self._snapshots.try_refresh()

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
        row_id = uuid7()
        call = Call(
            scope=scope,
            receive=receive,
            send=send,
            began=time.perf_counter(),
            headers=headers,
            row_id=row_id,
            request_id=given.decode() if _GIVEN_ID.fullmatch(given) else str(row_id),
        )
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
        self._snapshots.note_use(key)
        if path in POSTS:
            await self._post(call, path, key, snapshot)
        else:
            body = listing.answer(path, snapshot)
            headers = headers_for(call.request_id, None, 0)
            await send_whole(call.send, 200, headers, JSON, body)

    async def _admitted(
        self, call: Call, snapshot: Snapshot
    ) -> tuple[KeyEntry, Snapshot]:
        """The key and the snapshot that knows it; raises `Refused` with 401 or 403."""
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
            raw = await read_body(call.receive, call.headers)
            if raw is None:
                return  # the client left in the middle of its own body
            wish = read_wish(path, raw)
        except Refused as refused:
            _end_refused(_begin(call, path, key), call, refused.refusal)
            raise
        route = choose_route(wish.model, snapshot)
        if isinstance(route, Refusal):
            _end_refused(_begin(call, path, key, wish), call, route)
            raise Refused(route)
        handle = _begin(call, path, key, wish, route)
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


def _begin(
    call: Call,
    path: str,
    key: KeyEntry,
    wish: Wish | None = None,
    route: Route | None = None,
) -> Handle:
    """The row of a request, as much of it as is known when it is sent or refused."""
    fields: RequestFields = {
        "request_id": call.request_id,
        "path": path,
        "key_id": key.id,
        "key_name": key.name,
    }
    if wish is not None:
        fields["stream"] = wish.stream
        fields["requested_model"] = wish.model or ""
        fields["parameters"] = wish.parameters()
    if route is not None:
        fields["llm_provider"] = route.runtime.provider
        fields["llm_model"] = route.served_name
        fields["llm_endpoint"] = without_credentials(route.runtime.endpoint)
        fields["runtime"] = route.runtime.name
        fields["node"] = route.runtime.node
        fields["attempts"] = 1
        fields["reason_code"] = route.reason_code
    prompt = wish.prompt() if wish else ""
    return recorder.begin(pk=call.row_id, prompt=prompt, **fields)


def _end_refused(handle: Handle, call: Call, refusal: Refusal) -> None:
    handle.end(
        RequestStatus.FAILED,
        http_status=refusal.status,
        duration_seconds=time.perf_counter() - call.began,
        **history_fields(refusal),
    )


app = Gateway()
