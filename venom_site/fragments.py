"""What an event changes on a page, and the HTML of that change.

Called by the sockets of `consumers.py`. Events are hints, rows are truth: a fragment
is rendered from the database, once per event, language and permission set, and shared
by every socket of this process. Knows no socket.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.template.loader import render_to_string
from django.utils import translation
from django.utils.html import format_html

from models_app.services import operation_lists, operations
from runtime_app.governance.callers import Caller
from runtime_app.services.active import chip
from runtime_app.views import cards
from venom_site.lib.errors import NotFound
from venom_site.lib.offloop import off_loop
from venom_site.shell import Can, nav_counts

MOST_KEPT = 512
Event = dict[str, Any]
Draw = Callable[[Event, Can], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing on a page: `key` names it, pages with one of `topics` show it."""

    key: str
    topics: frozenset[str]  # empty: every page
    draw: Draw

    def concerns(self, topics: frozenset[str]) -> bool:
        return not self.topics or bool(self.topics & topics)


def changes(event: Event) -> tuple[Change, ...]:
    """What a page may have to show anew."""
    return _TABLE.get(event["type"], _nothing)(event["data"])


def _nothing(_data: dict[str, Any]) -> tuple[Change, ...]:
    return ()


def _on(*topics: str) -> frozenset[str]:
    return frozenset(topics)


def _of_operation(data: dict[str, Any]) -> tuple[Change, ...]:
    own = f"operation-{data['operation_id']}"
    found = [
        Change(key=own, topics=_on("ops", own), draw=_row),
        Change(key=f"{own}-log", topics=_on(own), draw=_log),
    ]
    if data["status"] != "in_progress" or data["phase"] == "starting":
        found.append(Change(key="nav-operations", topics=_on(), draw=_nav))
        found.append(Change(key="operation-summary", topics=_on("ops"), draw=_summary))
        if data["runtime"]:
            found.append(_card_of(data["runtime"]))
    return tuple(found)


def _of_runtime(data: dict[str, Any]) -> tuple[Change, ...]:
    return _card_of(data["name"]), Change(key="chip", topics=_on(), draw=_chip)


def _of_activation(_data: dict[str, Any]) -> tuple[Change, ...]:
    every = Change(key="runtimes", topics=_on("runtimes"), draw=_cards)
    return every, Change(key="chip", topics=_on(), draw=_chip)


def _of_request(data: dict[str, Any]) -> tuple[Change, ...]:
    own = f"request-{data['id']}"
    return (
        Change(key="requests", topics=_on("requests"), draw=_request),
        Change(key=own, topics=_on(own), draw=_request),
    )


def _card_of(name: str) -> Change:
    def draw(_event: Event, can: Can) -> str:
        return _card(cards.card_of(name), can)

    return Change(key=f"runtime-{name}", topics=_on("runtimes"), draw=draw)


_TABLE: dict[str, Callable[[dict[str, Any]], tuple[Change, ...]]] = {
    "operation.changed": _of_operation,
    "runtime.changed": _of_runtime,
    "activation.changed": _of_activation,
    "request.finished": _of_request,
}


# Drawing, in a thread


def _part(template: str, can: Can, **context: Any) -> str:
    return render_to_string(template, {"oob": True, "can": can} | context).strip()


def _row(event: Event, can: Can) -> str:
    try:
        operation = operations.get_operation(event["data"]["operation_id"])
    except NotFound:
        return ""
    return _part("models_app/_operation_row.html", can, operation=operation)


def _log(event: Event, can: Can) -> str:
    try:
        operation = operations.get_operation(event["data"]["operation_id"])
    except NotFound:
        return ""
    return _part("models_app/_operation_log.html", can, operation=operation)


def _nav(_event: Event, can: Can) -> str:
    return _part("runtime_app/_nav_counts.html", can, nav_counts=nav_counts())


def _summary(_event: Event, can: Can) -> str:
    counts = operation_lists.summary()
    return _part("models_app/_operation_summary.html", can, **counts)


def _chip(_event: Event, can: Can) -> str:
    return _part("runtime_app/_chip.html", can, chip=chip())


def _card(card: cards.RuntimeCard | None, can: Can) -> str:
    if card is None:
        return ""
    return _part("runtime_app/_runtime_card.html", can, runtime=card)


def _cards(_event: Event, can: Can) -> str:
    return "".join(_card(card, can) for card in cards.all_cards())


def _request(event: Event, _can: Can) -> str:
    """No row: a page whose lists hold requests fetches them when it sees this id."""
    data = event["data"]
    return format_html(
        '<i id="request-{}-ended" data-status="{}" hx-swap-oob="true" hidden></i>',
        data["id"],
        data["status"],
    )


# Sharing


class Shared:
    """The last fragments; who asks for one that is being drawn waits for it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, ...], asyncio.Task[str]] = OrderedDict()

    async def html(self, change: Change, event: Event, caller: Caller) -> str:
        """The fragment as this caller may see it; empty when there is nothing."""
        rights = caller.principal.permission_set
        name = (event["id"], change.key, caller.language, rights)
        task = self._kept.get(name)
        if task is None:
            drawing = off_loop(_draw, change, event, caller)
            task = self._kept[name] = asyncio.ensure_future(drawing)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        # One socket that leaves must not take the fragment from the others.
        return await asyncio.shield(task)


def _draw(change: Change, event: Event, caller: Caller) -> str:
    with translation.override(caller.language):
        return change.draw(event, Can(caller.principal))


@lru_cache(maxsize=1)
def shared() -> Shared:
    return Shared()
