"""Carries one request to its server and the answer back, and says how it ended.

Bytes go on as they come. Until the first of them a failure is a plain error answer;
afterwards it is an error event without `[DONE]`, because a cut answer must look cut.
Called by `app.py`; writes nothing itself but what it tells the handle of the history.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from history_app.choices import RequestStatus
from history_app.recorder import Handle
from runtime_app.gateway import failures
from runtime_app.gateway.answers import (
    Headers,
    Send,
    headers_for,
    send_refusal,
    send_whole,
)
from runtime_app.gateway.refusals import Refusal, Refused, history_fields
from runtime_app.gateway.routing import Route
from runtime_app.gateway.schemas import Wish
from runtime_app.gateway.stream import (
    EventFilter,
    MalformedStream,
    Usage,
    is_json_object,
    said_in,
    tokens_of,
    usage_in,
    was_aborted,
)
from runtime_app.gateway.upstream import (
    Upstream,
    UpstreamAnswer,
    UpstreamCut,
    UpstreamFailed,
)
from runtime_app.gateway.watch import Ended, Receive, Watch

logger = logging.getLogger(__name__)

_STREAM_HEADERS: Headers = [(b"x-accel-buffering", b"no")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Seconds; docs/api.md."""

    connect: float
    first_byte: float
    idle: float
    total: float

    def of(self, ended: Ended) -> float:
        return {Ended.IDLE: self.idle, Ended.TOTAL: self.total}.get(
            ended, self.first_byte
        )


class Exchange:
    """One request that has a route, from here to the last byte of its answer."""

    def __init__(
        self,
        *,
        wish: Wish,
        route: Route,
        upstream: Upstream,
        deadlines: Deadlines,
        handle: Handle,
        began: float,
        receive: Receive,
        send: Send,
    ) -> None:
        self._wish = wish
        self._route = route
        self._upstream = upstream
        self._deadlines = deadlines
        self._handle = handle
        self._began = began
        self._receive = receive
        self._send = send
        self._headers = headers_for(handle.fields["request_id"], route, 1)
        self._events = EventFilter(wants_usage=wish.wants_usage)
        self._answer: UpstreamAnswer | None = None
        self._usage: Usage | None = None
        self._ttft: float | None = None
        self._overhead: float | None = None
        self._status: int | None = None  # of the answer, once it has begun

    async def carry(self) -> None:
        """Serve the request to its end, whatever the end is."""
        watch = Watch(self._receive)
        try:
            await self._serve(watch)
        except asyncio.CancelledError:
            reason = watch.forgive()
            if reason is None:
                await self._say_stopping()
                raise
            await self._ended_early(reason)
        except Refused as refused:
            watch.stop()
            await self._refuse(refused.refusal)
        except Exception:
            watch.stop()
            logger.exception("answer failed")
            await self._refuse(failures.internal())
        finally:
            watch.stop()
            if self._answer is not None:
                self._answer.close()

    async def _serve(self, watch: Watch) -> None:
        watch.limit_silence(self._deadlines.first_byte, Ended.FIRST_BYTE)
        if not self._wish.stream:
            watch.limit_total(self._deadlines.total)
        watch.expect()
        answer = self._answer = await self._ask()
        if answer.status >= 300:
            body = await answer.error_text()
            watch.stop()
            await self._error_answer(answer, body)
        elif self._wish.stream and answer.is_event_stream:
            await self._stream(answer, watch)
        else:
            await self._whole(answer, watch)

    async def _ask(self) -> UpstreamAnswer:
        body = self._wish.body_for(self._route.served_name)
        self._overhead = time.perf_counter() - self._began
        try:
            return await self._upstream.post(
                self._wish.path, body, self._route.runtime.key
            )
        except UpstreamFailed as failure:
            connect = self._deadlines.connect
            raise Refused(
                failures.of_connection(failure.kind, self._route, connect)
            ) from failure

    async def _error_answer(self, answer: UpstreamAnswer, body: bytes) -> None:
        if answer.status not in failures.PASSED_ON:
            refusal = failures.of_status(
                answer.status, body, answer.retry_after, self._route
            )
            await self._refuse(refusal)
            return
        kind = answer.content_type.encode("latin-1", "replace")
        await send_whole(self._send, answer.status, self._headers, kind, body)
        refusal = failures.of_refused_body(answer.status, body, self._route)
        self._end(RequestStatus.FAILED, answer.status, refusal)

    async def _whole(self, answer: UpstreamAnswer, watch: Watch) -> None:
        try:
            body = await answer.whole(on_piece=lambda: self._heard(watch))
        except UpstreamCut as cut:
            raise Refused(failures.cut(self._route)) from cut
        watch.stop()
        if not is_json_object(body):
            raise Refused(failures.malformed(self._route))
        if was_aborted(body):
            raise Refused(failures.aborted(self._route))
        self._usage = usage_in(body) or self._estimated(len(said_in(body)))
        kind = answer.content_type.encode("latin-1", "replace")
        self._status = answer.status
        await send_whole(self._send, answer.status, self._headers, kind, body)
        self._end(RequestStatus.COMPLETED, answer.status)

    async def _stream(self, answer: UpstreamAnswer, watch: Watch) -> None:
        try:
            while piece := await answer.next_piece():
                watch.heard()
                out = self._events.feed(piece)
                if self._ttft is None and self._events.has_token:
                    self._ttft = time.perf_counter() - self._began
                if out:
                    await self._pass_on(out, answer, watch)
                if self._events.is_done:
                    break
                watch.expect()
        except UpstreamCut:
            raise Refused(self._cut_refusal()) from None
        except MalformedStream:
            raise Refused(failures.malformed(self._route)) from None
        watch.stop()
        await self._end_of_stream()
        await answer.settle()

    def _heard(self, watch: Watch) -> None:
        """A part of a plain answer: from here on silence counts, not the first byte."""
        if watch.named is not Ended.IDLE:
            watch.limit_silence(self._deadlines.idle, Ended.IDLE)
        watch.expect()

    async def _pass_on(self, out: bytes, answer: UpstreamAnswer, watch: Watch) -> None:
        if self._status is None:
            self._status = answer.status
            kind = (b"content-type", answer.content_type.encode("latin-1", "replace"))
            await self._send(
                {
                    "type": "http.response.start",
                    "status": answer.status,
                    "headers": [*self._headers, *_STREAM_HEADERS, kind],
                }
            )
            watch.limit_silence(self._deadlines.idle, Ended.IDLE)
        await self._send({"type": "http.response.body", "body": out, "more_body": True})

    async def _end_of_stream(self) -> None:
        events = self._events
        self._usage = events.usage
        if events.failure == "abort":
            raise Refused(failures.aborted(self._route))
        if events.failure:
            raise Refused(failures.reported(self._route))
        if not events.is_complete:
            raise Refused(self._cut_refusal())
        await self._send({"type": "http.response.body", "body": b""})
        self._end(RequestStatus.COMPLETED, self._status)

    def _cut_refusal(self) -> Refusal:
        if self._status is None:
            return failures.of_connection("closed", self._route, 0)
        return failures.cut(self._route)

    async def _refuse(self, refusal: Refusal) -> None:
        """As an answer, or as the last event of one that has begun."""
        status = self._status or refusal.status
        self._end(RequestStatus.FAILED, status, refusal)
        if self._status is None:
            await send_refusal(self._send, refusal, self._headers)
            return
        event = b"" if self._events.error_was_sent else refusal.event()
        await self._send({"type": "http.response.body", "body": event})

    async def _ended_early(self, reason: Ended) -> None:
        if reason is Ended.CLIENT_LEFT:
            self._end(RequestStatus.CANCELLED, self._status)
            return
        seconds = self._deadlines.of(reason)
        await self._refuse(failures.of_deadline(reason, seconds, self._route))

    async def _say_stopping(self) -> None:
        """The process ends: the row is closed and the client told, if it still can."""
        if self._handle.fields["finished_at"] is None:
            await self._refuse(failures.stopping())

    def _end(
        self, status: RequestStatus, code: int | None, refusal: Refusal | None = None
    ) -> None:
        usage = self._usage or self._events.usage
        if usage is None and self._events.has_token:
            usage = self._estimated(self._events.estimated_characters())
        has_begun = self._status is not None
        if refusal is not None:
            logger.log(
                logging.WARNING if refusal.error_class else logging.INFO,
                "answer failed code=%s provider=%s model=%s endpoint=%s",
                refusal.code,
                self._route.runtime.provider,
                self._route.served_name,
                self._route.runtime.endpoint,
            )
        self._handle.end(
            status,
            http_status=code,
            partial=has_begun and status is not RequestStatus.COMPLETED,
            duration_seconds=time.perf_counter() - self._began,
            ttft_seconds=self._ttft,
            overhead_seconds=self._overhead,
            input_tokens=usage.input_tokens if usage else None,
            output_tokens=usage.output_tokens if usage else None,
            usage_estimated=bool(usage and usage.is_estimated),
            **history_fields(refusal),
        )

    def _estimated(self, characters: int) -> Usage:
        """Without a usage block: what came through, four characters a token."""
        asked = tokens_of(len(self._wish.prompt()))
        return Usage(asked, tokens_of(characters), is_estimated=True)
