"""Tells of servers that fail, as alerts, without holding a request up.

Called where a hop ends, on the event loop. A first failure is written at once by a
thread, repeats of the same trouble once a second with their number. A good answer
costs nothing unless the snapshot has an open alert for its route; then it closes that
alert after a moment without another failure. Never waits and never raises.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from django.db import DatabaseError, InterfaceError

from runtime_app.gateway.names import Route
from runtime_app.gateway.refusals import Refusal
from runtime_app.gateway.upstream import without_credentials
from runtime_app.services.alerts import (
    LLM_PROVIDER_ERROR,
    Trouble,
    close_by_recovery,
    key_of,
    raise_alert,
)
from venom_site.lib.offloop import off_loop

logger = logging.getLogger(__name__)

GAP_SECONDS = 1.0  # between two writes of one trouble
QUIET_SECONDS = 2.0  # a good answer between two bad ones closes nothing
MOST_TROUBLES = 100  # at once; a client may invent names for a server without a list
# Not the client's own mistake, no refused key and no queue that is merely full.
TELLING = frozenset({"MODEL_NOT_FOUND", "OFFLINE", "TIMEOUT", "DEGRADED"})


class Troubles:
    """What was noticed and is not written yet; one task per trouble while it lasts."""

    def __init__(self) -> None:
        self._failed: dict[str, Trouble] = {}
        self._answered: dict[str, datetime] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def note_failure(
        self, route: Route, refusal: Refusal, *, status: int | None, request_id: str
    ) -> None:
        """A hop ended badly. `status` is the server's own, None without an answer."""
        if refusal.error_class not in TELLING or _is_the_clients_own(route, refusal):
            return
        trouble = _trouble(route, refusal, status=status, request_id=request_id)
        before = self._failed.get(trouble.key)
        times = before.times + 1 if before else 1
        self._failed[trouble.key] = replace(trouble, times=times)
        self._answered.pop(trouble.key, None)
        self._see_to(trouble.key)

    def note_answer(self, route: Route, open_alerts: frozenset[str]) -> None:
        """A hop ended well; `open_alerts` as the snapshot has them."""
        if not open_alerts:
            return
        key = key_of(LLM_PROVIDER_ERROR, _endpoint(route), _model(route))
        if key in open_alerts and key not in self._failed:
            self._answered.setdefault(key, datetime.now(UTC))
            self._see_to(key)

    async def stop(self) -> None:
        """Write down what waits."""
        tasks = [task for task in self._tasks.values() if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for key in list(self._failed):
            await self._write(key)
        self._answered.clear()

    def _see_to(self, key: str) -> None:
        task = self._tasks.get(key)
        if task is not None and not task.done():
            return
        if task is None and len(self._tasks) >= MOST_TROUBLES:
            self._failed.pop(key, None)
            logger.warning("too many troubles at once, not told key=%s", key)
            return
        loop = asyncio.get_running_loop()
        self._tasks[key] = loop.create_task(self._work_on(key))

    async def _work_on(self, key: str) -> None:
        while key in self._failed or key in self._answered:
            if key in self._failed:
                await self._write(key)
                await asyncio.sleep(GAP_SECONDS)
            else:
                await self._close_when_quiet(key)
        self._tasks.pop(key, None)

    async def _write(self, key: str) -> None:
        trouble = self._failed.pop(key)
        await _off_loop(lambda: raise_alert(trouble), key)

    async def _close_when_quiet(self, key: str) -> None:
        await asyncio.sleep(QUIET_SECONDS)
        answered_at = self._answered.pop(key, None)  # a failure takes it away
        if answered_at is not None:
            await _off_loop(
                lambda: close_by_recovery(key, answered_at=answered_at), key
            )


def _trouble(
    route: Route, refusal: Refusal, *, status: int | None, request_id: str
) -> Trouble:
    runtime = route.runtime
    return Trouble(
        code=LLM_PROVIDER_ERROR,
        message=refusal.message,
        provider=runtime.provider,
        runtime=runtime.name,
        model=_model(route),
        endpoint=_endpoint(route),
        node=runtime.node,
        error_class=refusal.error_class,
        http_status=status if status and status >= 300 else None,
        request_id=request_id,
    )


def _is_the_clients_own(route: Route, refusal: Refusal) -> bool:
    """A 404 for a name that a client forced on a server which never listed it."""
    runtime, name = route.runtime, route.served_name
    is_ours = name in runtime.served or name == runtime.last_model
    return refusal.error_class == "MODEL_NOT_FOUND" and not is_ours


def _model(route: Route) -> str:
    """As long as its column: a client may force any name on a server."""
    return route.served_name[:250]


def _endpoint(route: Route) -> str:
    return without_credentials(route.runtime.endpoint)


async def _off_loop(write: Callable[[], object], key: str) -> None:
    try:
        await off_loop(write)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("alert not written key=%s %s", key, error)
    except Exception:
        logger.exception("alert not written key=%s", key)


troubles = Troubles()
