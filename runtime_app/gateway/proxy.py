"""One server asked once: sends it the request and passes its answer on.

Bytes go on as they come. Until the first of them a failure leaves the client untouched
and another server may be asked; afterwards it can only become an error event without
`[DONE]`, because a cut answer must look cut. `journey.py` calls it, says how it ended
and writes the history.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from history_app.recorder import RequestFields
from runtime_app.gateway import failures
from runtime_app.gateway.answer_text import AnswerText
from runtime_app.gateway.answers import Headers, Send, send_whole
from runtime_app.gateway.names import Route
from runtime_app.gateway.params import fit
from runtime_app.gateway.refusals import Refusal, Refused
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
from runtime_app.gateway.watch import Ended, Watch

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
    """`carry()` raises `Refused` when the server fails, and the cancel of the watch.

    What came of it stands in the attributes: `status` is the server's, `has_begun` says
    whether the client has got any of the answer, `is_whole` whether it got all of a
    good one, `mistake` what the server found wrong with the request itself.
    """

    def __init__(
        self,
        *,
        wish: Wish,
        route: Route,
        upstream: Upstream,
        deadlines: Deadlines,
        watch: Watch,
        send: Send,
        headers: Headers,
        text: AnswerText,
    ) -> None:
        self._wish = wish
        self.route = route
        self._upstream = upstream
        self._deadlines = deadlines
        self._watch = watch
        self._send = send
        self._headers = headers
        self._text = text
        self._events = EventFilter(wants_usage=wish.wants_usage, text=text)
        self._answer: UpstreamAnswer | None = None
        self._usage: Usage | None = None
        self.asked_at = time.perf_counter()
        self.first_token_at: float | None = None
        self.status: int | None = None
        self.has_begun = False
        self.is_whole = False
        self.mistake: Refusal | None = None
        self.notes: tuple[str, ...] = ()  # what was fitted to the model

    async def carry(self) -> None:
        """Ask, and pass the answer on to its end."""
        self._watch.limit_silence(self._deadlines.first_byte, Ended.FIRST_BYTE)
        self._watch.expect()
        answer = self._answer = await self._ask()
        self.status = answer.status
        if answer.status >= 300:
            await self._error_answer(answer)
        elif self._wish.stream and answer.is_event_stream:
            await self._stream(answer)
        else:
            await self._whole(answer)

    async def finish(self, refusal: Refusal) -> None:
        """The last event of an answer that has begun and cannot be completed."""
        event = b"" if self._events.error_sent else refusal.event()
        await self._send({"type": "http.response.body", "body": event})

    async def release(self) -> None:
        """Give the connection back, or close it: the server then stops working."""
        if self._answer is None:
            return
        try:
            if self.is_whole and self._events.is_done:
                await self._answer.settle()
        finally:
            self._answer.close()

    def answer(self) -> str:
        """As much of the answer's words as the history may keep."""
        return self._text.text()

    def figures(self) -> RequestFields:
        """What the history learns of the answer."""
        usage = self._usage or self._events.usage
        if usage is None and self._events.has_token:
            usage = self._estimated(self._events.estimated_characters())
        if usage is None:
            return {}
        return {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_input_tokens": usage.cached_input_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "usage_estimated": usage.is_estimated,
        }

    def _body(self) -> bytes:
        wish, runtime = self._wish, self.route.runtime
        model = runtime.model(self.route.served_name)
        fitted = fit(wish.fields, path=wish.path, kind=runtime.kind, model=model)
        self.notes = fitted.notes
        return wish.body_for(self.route.served_name, fitted.fields)

    async def _ask(self) -> UpstreamAnswer:
        body = self._body()
        self.asked_at = time.perf_counter()
        try:
            return await self._upstream.post(
                self._wish.path, body, self.route.runtime.key
            )
        except UpstreamFailed as failure:
            connect = self._deadlines.connect
            raise Refused(
                failures.of_connection(failure.kind, self.route, connect)
            ) from failure

    async def _error_answer(self, answer: UpstreamAnswer) -> None:
        body = await answer.error_text()
        if answer.status not in failures.PASSED_ON:
            raise Refused(
                failures.of_status(answer.status, body, answer.retry_after, self.route)
            )
        self._watch.stop()
        self.mistake = failures.of_refused_body(answer.status, body, self.route)
        await self._send_whole(answer, body)

    async def _whole(self, answer: UpstreamAnswer) -> None:
        try:
            body = await answer.whole(on_piece=self._heard)
        except UpstreamCut as cut:
            raise Refused(failures.cut(self.route)) from cut
        if not is_json_object(body):
            raise Refused(failures.malformed(self.route))
        if was_aborted(body):
            raise Refused(failures.aborted(self.route))
        self._watch.stop()
        self._usage = usage_in(body) or self._estimated(len(said_in(body)))
        self._text.read_whole(body)
        self.is_whole = True
        await self._send_whole(answer, body)

    async def _send_whole(self, answer: UpstreamAnswer, body: bytes) -> None:
        self.has_begun = True
        await send_whole(self._send, answer.status, self._headers, _kind(answer), body)

    async def _stream(self, answer: UpstreamAnswer) -> None:
        try:
            while piece := await answer.next_piece():
                self._watch.heard()
                out = self._events.feed(piece)
                if self.first_token_at is None and self._events.has_token:
                    self.first_token_at = time.perf_counter()
                if self._events.failure and not self.has_begun:
                    break  # an error with a good status: nobody needs to see that
                if out:
                    await self._pass_on(out, answer)
                if self._events.is_done:
                    break
                self._watch.expect()
        except UpstreamCut:
            raise Refused(self._cut_refusal()) from None
        except MalformedStream:
            raise Refused(failures.malformed(self.route)) from None
        await self._end_of_stream()

    def _heard(self) -> None:
        """A part of a plain answer: from here on silence counts, not the first byte."""
        if self._watch.named is not Ended.IDLE:
            self._watch.limit_silence(self._deadlines.idle, Ended.IDLE)
        self._watch.expect()

    async def _pass_on(self, out: bytes, answer: UpstreamAnswer) -> None:
        if not self.has_begun:
            self.has_begun = True
            await self._send(
                {
                    "type": "http.response.start",
                    "status": answer.status,
                    "headers": [
                        *self._headers,
                        *_STREAM_HEADERS,
                        (b"content-type", _kind(answer)),
                    ],
                }
            )
            self._watch.limit_silence(self._deadlines.idle, Ended.IDLE)
        await self._send({"type": "http.response.body", "body": out, "more_body": True})

    async def _end_of_stream(self) -> None:
        events = self._events
        if events.failure == "abort":
            raise Refused(failures.aborted(self.route))
        if events.failure:
            raise Refused(failures.reported(events.error_sent, self.route))
        if not events.is_complete:
            raise Refused(self._cut_refusal())
        self._watch.stop()
        self.is_whole = True
        await self._send({"type": "http.response.body", "body": b""})

    def _cut_refusal(self) -> Refusal:
        if not self.has_begun:
            return failures.of_connection("closed", self.route, 0)
        return failures.cut(self.route)

    def _estimated(self, characters: int) -> Usage:
        """Without a usage block: what came through, four characters a token."""
        asked = tokens_of(len(self._wish.prompt()))
        return Usage(asked, tokens_of(characters), is_estimated=True)


def _kind(answer: UpstreamAnswer) -> bytes:
    return answer.content_type.encode("latin-1", "replace")
