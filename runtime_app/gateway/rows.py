"""The history of one request, as the gateway learns it: its row and its trace."""

from __future__ import annotations

import time

from history_app.choices import RequestStatus
from history_app.recorder import RequestFields, recorder
from runtime_app.gateway.call import Call
from runtime_app.gateway.entries import KeyEntry
from runtime_app.gateway.names import Route
from runtime_app.gateway.proxy import Exchange
from runtime_app.gateway.refusals import Refusal, history_fields
from runtime_app.gateway.schemas import Wish
from runtime_app.gateway.trail import Trail
from runtime_app.gateway.upstream import without_credentials


class Row:
    """Open from the moment a request is understood or refused until `end()`."""

    def __init__(
        self,
        call: Call,
        key: KeyEntry,
        wish: Wish | None = None,
        route: Route | None = None,
    ) -> None:
        """`route` is whom the request is meant for, where that is known."""
        self._began = call.began
        self.trail = Trail()
        self.trail.step("gateway", "received", call.path, at=call.began)
        self._route = route
        self._overhead: float | None = None
        self.queue_seconds: float | None = None
        prompt = call.kept_prompt(wish.prompt() if wish else "")
        fields = _known_at_first(call, key, wish, route)
        self._handle = recorder.begin(
            pk=call.row_id,
            prompt=prompt,
            keeps_contents=call.keeps_contents,
            **fields,
        )

    @property
    def is_open(self) -> bool:
        return self._handle.fields["finished_at"] is None

    def goes_to(self, route: Route) -> None:
        """Another server is asked than the row says."""
        self._route = route
        self._handle.update(**_route_fields(route))

    def hop(self, exchange: Exchange, failure: Refusal | None) -> None:
        """A server was asked."""
        if self._overhead is None:
            held = self.queue_seconds or 0.0
            self._overhead = exchange.asked_at - self._began - held
        self.trail.notes += exchange.notes
        self.trail.hop(
            exchange.route,
            asked_at=exchange.asked_at,
            status=exchange.status,
            error_code=failure.code if failure else "",
        )
        if exchange.first_token_at is not None:
            self.trail.step("upstream", "first_token", at=exchange.first_token_at)

    def end(
        self,
        status: RequestStatus,
        *,
        code: int | None = None,
        refusal: Refusal | None = None,
        told: Route | None = None,
        exchange: Exchange | None = None,
    ) -> None:
        """`told` is whose answer or failure the client got, `exchange` the last one."""
        is_good = status is RequestStatus.COMPLETED
        word = refusal.code if refusal else status
        self.trail.step(
            "gateway", "finished", word, status="ok" if is_good else "error"
        )
        fields = RequestFields(
            http_status=code,
            attempts=self.trail.attempts,
            duration_seconds=time.perf_counter() - self._began,
            overhead_seconds=self._overhead,
            queue_seconds=self.queue_seconds,
            trace=self.trail.trace(),
        )
        if told is not None and told is not self._route:
            fields.update(_route_fields(told))
        if exchange is not None:
            fields.update(self._of_answer(exchange))
        if refusal is not None:
            fields.update(history_fields(refusal))
        answer = exchange.answer() if exchange is not None else ""
        self._handle.end(status, answer=answer, **fields)

    def _of_answer(self, exchange: Exchange) -> RequestFields:
        is_cut = exchange.has_begun and not exchange.is_whole
        first = exchange.first_token_at
        return {
            **exchange.figures(),
            "partial": is_cut and exchange.mistake is None,
            "ttft_seconds": None if first is None else first - self._began,
        }


def _known_at_first(
    call: Call, key: KeyEntry, wish: Wish | None, route: Route | None
) -> RequestFields:
    fields: RequestFields = {
        "request_id": call.request_id,
        "path": call.path,
        "key_id": key.id,
        "key_name": key.name,
    }
    if wish is not None:
        fields["stream"] = wish.stream
        fields["requested_model"] = wish.model or ""
        fields["parameters"] = wish.parameters()
    if route is not None:
        fields.update(_route_fields(route))
    if call.inside is not None:
        fields["path"] = call.inside.path
        fields["session_id"] = call.inside.session_id
    return fields


def _route_fields(route: Route) -> RequestFields:
    """Who is asked; at the end, who answered."""
    return {
        "llm_provider": route.runtime.provider,
        "llm_model": route.served_name,
        "llm_endpoint": without_credentials(route.runtime.endpoint),
        "runtime": route.runtime.name,
        "node": route.runtime.node,
        "reason_code": route.reason_code,
        "fallback": route.is_fallback,
    }
