"""Which parts of which pages each event may change; `parts.py` draws them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models_app.templatetags.model_atoms import model_element
from runtime_app.views import cards
from venom_site.fragments import parts
from venom_site.fragments.parts import Draw, Event
from venom_site.shell import Can


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
        Change(key=own, topics=_on("ops", own), draw=parts.draw_row),
        Change(key=f"{own}-log", topics=_on(own), draw=parts.draw_log),
        Change(key=f"{own}-steps", topics=_on(own), draw=parts.draw_steps),
    ]
    if data["status"] != "in_progress" or data["phase"] == "starting":
        found.append(Change(key="nav-operations", topics=_on(), draw=parts.draw_nav))
        found.append(
            Change(key="operation-summary", topics=_on("ops"), draw=parts.draw_summary)
        )
        if data["runtime"]:
            found.append(_card_of(data["runtime"]))
        if data["model_name"] and data["provider"]:
            found.append(_model_row_of(data["provider"], data["model_name"]))
    found.append(Change(key="recent", topics=_on("models"), draw=parts.draw_recent))
    return tuple(found)


def _of_model(data: dict[str, Any]) -> tuple[Change, ...]:
    return (_model_row_of(data["provider"], data["name"]),)


def _of_runtime(data: dict[str, Any]) -> tuple[Change, ...]:
    return (
        _card_of(data["name"]),
        *_CHIP,
        _memory_of(data["name"]),
    )


def _of_activation(_data: dict[str, Any]) -> tuple[Change, ...]:
    return (
        Change(key="runtimes", topics=_on("runtimes"), draw=parts.draw_cards),
        *_CHIP,
        Change(
            key="model-activation", topics=_on("models"), draw=parts.draw_activation
        ),
    )


def _of_request(data: dict[str, Any]) -> tuple[Change, ...]:
    own = f"request-{data['id']}"
    found = [
        Change(key="requests", topics=_on("requests"), draw=parts.draw_request),
        Change(key=own, topics=_on(own), draw=parts.draw_request),
    ]
    if data.get("fallback"):
        found.extend(_CHIP)
    return tuple(found)


def _of_alert(data: dict[str, Any]) -> tuple[Change, ...]:
    own = f"alert-{data['id']}"
    return (
        Change(key="alerts", topics=_on(), draw=parts.draw_standing),
        Change(key=own, topics=_on("alerts"), draw=parts.draw_alert),
        Change(
            key="alert-summary", topics=_on("alerts"), draw=parts.draw_alert_summary
        ),
        *_CHIP,
    )


def _card_of(name: str) -> Change:
    def draw(_event: Event, can: Can) -> str:
        return parts.draw_card(cards.card_of(name), can)

    return Change(key=f"runtime-{name}", topics=_on("runtimes"), draw=draw)


def _model_row_of(provider: str, name: str) -> Change:
    def draw(event: Event, can: Can) -> str:
        return parts.draw_model_row(event, can, provider, name)

    return Change(key=model_element(provider, name), topics=_on("models"), draw=draw)


def _memory_of(runtime: str) -> Change:
    def draw(event: Event, can: Can) -> str:
        return parts.draw_memory(event, can, runtime)

    return Change(key=f"memory-{runtime}", topics=_on("models"), draw=draw)


_TABLE: dict[str, Callable[[dict[str, Any]], tuple[Change, ...]]] = {
    "operation.changed": _of_operation,
    "model.changed": _of_model,
    "runtime.changed": _of_runtime,
    "activation.changed": _of_activation,
    "request.finished": _of_request,
    "alert.changed": _of_alert,
}

# Which runtime answers now: the chip of every page, the box of the models pages.
_CHIP = (
    Change(key="chip", topics=_on(), draw=parts.draw_chip),
    Change(key="active-box", topics=_on("models"), draw=parts.draw_active_box),
)
