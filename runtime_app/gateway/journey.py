"""One understood request: decided, perhaps held, sent to one server after the other
until one answers, and written down.

Called by `app.py`. A server that fails before the client has got a byte is followed by
the next one of the decision; the client learns who answered and why from the headers,
the history from the row and its trace. Nothing here waits for the database.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace

from history_app.choices import RequestStatus
from runtime_app.gateway import failures
from runtime_app.gateway.answer_choices import answer_text_for
from runtime_app.gateway.answers import headers_for, send_refusal
from runtime_app.gateway.call import Call
from runtime_app.gateway.choosing import Choice
from runtime_app.gateway.entries import KeyEntry, Snapshot
from runtime_app.gateway.names import Route
from runtime_app.gateway.presence import InFlight
from runtime_app.gateway.proxy import Deadlines, Exchange
from runtime_app.gateway.refusals import Refusal, Refused
from runtime_app.gateway.routing import Asked
from runtime_app.gateway.rows import Row
from runtime_app.gateway.schemas import Wish
from runtime_app.gateway.snapshot import SnapshotStore
from runtime_app.gateway.troubles import troubles
from runtime_app.gateway.upstream import Upstreams
from runtime_app.gateway.watch import Ended, Watch
from venom_site.lib.access import Scope

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the requests of one event loop share."""

    snapshots: SnapshotStore
    upstreams: Upstreams
    deadlines: Deadlines
    in_flight: InFlight


class Journey:
    """`carry()` serves the request to its end, whatever the end is."""

    def __init__(
        self, *, call: Call, wish: Wish, key: KeyEntry, snapshot: Snapshot, means: Means
    ) -> None:
        self._call = call
        self._wish = wish
        self._means = means
        may_operate = Scope.OPERATE in key.scopes
        self._choice = Choice(
            Asked(model=wish.model, path=wish.path, may_operate=may_operate),
            key=key,
            snapshot=snapshot,
            snapshots=means.snapshots,
        )
        self._row = Row(call, key, wish, self._choice.decision.first)
        self._exchange: Exchange | None = None
        self._told: Route | None = None  # whose answer or failure the client gets
        self._watch = Watch(call.receive)

    async def carry(self) -> None:
        try:
            await self._travel()
        except asyncio.CancelledError:
            if self._watch.forgive() is Ended.CLIENT_LEFT:
                self._end(RequestStatus.CANCELLED, self._status_sent())
                return
            await self._say_stopping()
            if self._call.inside is not None:
                raise
            # The answer is complete: servers would log a traceback for each of them.
        except Refused as refused:
            await self._refuse(refused.refusal)
        except Exception:
            logger.exception("answer failed")
            await self._refuse(failures.internal())
        finally:
            self._watch.stop()
            if self._exchange is not None:
                await self._exchange.release()

    async def _travel(self) -> None:
        if self._choice.decision.awaited is not None:
            await self._hold()
        decision = self._choice.decision
        self._row.trail.candidates = decision.candidates
        if not decision.routes:
            raise Refused(decision.refusal or failures.internal())
        self._row.trail.step("routing", "routed", str(decision.routes[0]))
        if not self._wish.stream:
            self._watch.limit_total(self._means.deadlines.total)
        await self._ask_each(decision.routes)

    async def _hold(self) -> None:
        trail, choice = self._row.trail, self._choice
        trail.candidates = choice.decision.candidates
        trail.step("routing", "held", str(choice.decision.awaited), status="note")
        try:
            await choice.hold()
        finally:
            self._row.queue_seconds = choice.queue_seconds

    async def _ask_each(self, routes: tuple[Route, ...]) -> None:
        switches = self._choice.snapshot.policy.switches
        failed: list[tuple[Route, Refusal]] = []
        for route in routes:
            if failed:
                route = self._next(route, failed[-1][1])
            failure = await self._hop(route)
            if failure is None:
                return
            failed.append((route, failure))
            if failure.error_class not in switches:
                break
        self._told, first = failed[0]
        raise Refused(failures.all_failed(first, failed[1:]))

    def _next(self, route: Route, failure: Refusal) -> Route:
        """The same server with the reason why it is its turn."""
        reason = f"FALLBACK_{failure.error_class}"
        details = f"{reason} {route}"
        self._row.trail.step("routing", "failed_over", details, status="note")
        route = replace(route, reason_code=reason)
        self._row.goes_to(route)
        return route

    # One server

    async def _hop(self, route: Route) -> Refusal | None:
        """Ask one server. None: it is over, well or not; a failure: another one may
        be asked. Raises `Refused` when the failure is the last word."""
        if self._exchange is not None:
            await self._exchange.release()
        exchange = self._exchange = self._exchange_with(route)
        self._row.trail.step("upstream", "asked", str(route))
        failure: Refusal | None = None
        is_last_word = False
        place = route.runtime.name, route.served_name
        in_flight = self._means.in_flight
        in_flight.begin(*place, self._watch)
        try:
            await exchange.carry()
        except Refused as refused:
            failure = refused.refusal
        except asyncio.CancelledError:
            if self._watch.reason in {None, Ended.CLIENT_LEFT}:
                raise
            ended = self._watch.forgive()
            if ended is None:
                raise
            is_last_word = ended in {Ended.TOTAL, Ended.SWITCHED}
            failure = self._of_ending(ended, route)
        finally:
            in_flight.end(*place, self._watch)
            self._note_hop(exchange, failure)
        if failure is None:
            self._end_answered(exchange)
        elif is_last_word or exchange.has_begun:
            raise Refused(failure)
        return failure

    def _of_ending(self, ended: Ended, route: Route) -> Refusal:
        if ended is Ended.SWITCHED:
            return failures.switched(route)
        return failures.of_deadline(ended, self._means.deadlines.of(ended), route)

    def _exchange_with(self, route: Route) -> Exchange:
        self._told = route
        attempts = self._row.trail.attempts + 1
        return Exchange(
            wish=self._wish,
            route=route,
            upstream=self._means.upstreams.at(route.runtime.endpoint),
            deadlines=self._means.deadlines,
            watch=self._watch,
            send=self._call.send,
            headers=headers_for(self._call.request_id, route, attempts=attempts),
            text=answer_text_for(self._wish, keeps_contents=self._call.keeps_contents),
        )

    def _note_hop(self, exchange: Exchange, failure: Refusal | None) -> None:
        """The one place that hears of every server asked: of its failure, of a good
        answer (`exchange.is_whole`), of a request that ended in between."""
        self._row.hop(exchange, failure)
        if failure is not None:
            _log_failure(failure, exchange.route)
            troubles.note_failure(
                exchange.route,
                failure,
                status=exchange.status,
                request_id=self._call.request_id,
            )
        elif exchange.is_whole:
            open_alerts = self._choice.snapshot.open_alerts
            troubles.note_answer(exchange.route, open_alerts)

    # The end

    def _end_answered(self, exchange: Exchange) -> None:
        """The client has a whole answer, or its server's word on its own mistake."""
        if exchange.mistake is None:
            self._end(RequestStatus.COMPLETED, exchange.status)
        else:
            _log_failure(exchange.mistake, exchange.route)
            self._end(RequestStatus.FAILED, exchange.status, exchange.mistake)

    async def _refuse(self, refusal: Refusal) -> None:
        """As an answer, or as the last event of one that has begun."""
        self._watch.stop()
        exchange = self._exchange
        if exchange is not None and exchange.has_begun:
            self._end(RequestStatus.FAILED, exchange.status, refusal)
            await exchange.finish(refusal)
            return
        self._end(RequestStatus.FAILED, refusal.status, refusal)
        headers = headers_for(
            self._call.request_id,
            self._told,
            attempts=self._row.trail.attempts,
            reason=refusal.reason_code,
        )
        await send_refusal(self._call.send, refusal, headers)

    async def _say_stopping(self) -> None:
        """The process ends: the row is closed and the client told, if it still can."""
        if self._row.is_open:
            await self._refuse(failures.stopping())

    def _status_sent(self) -> int | None:
        exchange = self._exchange
        return exchange.status if exchange and exchange.has_begun else None

    def _end(
        self, status: RequestStatus, code: int | None, refusal: Refusal | None = None
    ) -> None:
        self._row.end(
            status,
            code=code,
            refusal=refusal,
            told=self._told,
            exchange=self._exchange,
        )


def _log_failure(refusal: Refusal, route: Route) -> None:
    logger.log(
        logging.WARNING if refusal.error_class else logging.INFO,
        "answer failed code=%s provider=%s model=%s endpoint=%s",
        refusal.code,
        route.runtime.provider,
        route.served_name,
        route.runtime.endpoint,
    )
