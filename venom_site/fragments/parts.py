"""Drawing the parts that events change, from rows, in a thread.

Each function takes the event and what the reader may do, and answers HTML: empty when
there is nothing to show. `table.py` says which event asks for which.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.template.loader import render_to_string
from django.utils.html import format_html

from models_app.choices import ProviderName
from models_app.models import InstalledModel
from models_app.services import model_lists, operation_lists, operations, registry
from models_app.templatetags.model_atoms import model_element
from runtime_app.choices import RuntimeKind
from runtime_app.models import Runtime
from runtime_app.services import alert_lists, alerts
from runtime_app.services.active import chip
from runtime_app.services.memory_seen import memory_of
from runtime_app.views import cards
from venom_site.lib.errors import NotFound
from venom_site.shell import Can, nav_counts

Event = dict[str, Any]
Draw = Callable[[Event, Can], str]


def _part(template: str, can: Can, **context: Any) -> str:
    return render_to_string(template, {"oob": True, "can": can} | context).strip()


def draw_row(event: Event, can: Can) -> str:
    try:
        operation = operations.get_operation(event["data"]["operation_id"])
    except NotFound:
        return ""
    return _part("models_app/_operation_row.html", can, operation=operation)


def draw_log(event: Event, can: Can) -> str:
    try:
        operation = operations.get_operation(event["data"]["operation_id"])
    except NotFound:
        return ""
    return _part("models_app/_operation_log.html", can, operation=operation)


def draw_steps(event: Event, can: Can) -> str:
    """The steps and the facts beside them: both change with the operation."""
    try:
        operation = operations.get_operation(event["data"]["operation_id"])
    except NotFound:
        return ""
    steps = _part("models_app/_operation_steps.html", can, operation=operation)
    return steps + _part("models_app/_operation_details.html", can, operation=operation)


def draw_nav(_event: Event, can: Can) -> str:
    return _part("runtime_app/_nav_counts.html", can, nav_counts=nav_counts())


def draw_summary(_event: Event, can: Can) -> str:
    counts = operation_lists.summary()
    return _part("models_app/_operation_summary.html", can, **counts)


def draw_chip(_event: Event, can: Can) -> str:
    return _part("runtime_app/_chip.html", can, chip=chip())


def draw_card(card: cards.RuntimeCard | None, can: Can) -> str:
    if card is None:
        return ""
    return _part("runtime_app/_runtime_card.html", can, runtime=card)


def draw_cards(_event: Event, can: Can) -> str:
    return "".join(draw_card(card, can) for card in cards.all_cards())


def _hint(element: str, state: str) -> str:
    """No row: a page whose lists may hold this fetches them when it sees the id."""
    return format_html(
        '<i id="{}" data-status="{}" hx-swap-oob="true" hidden></i>', element, state
    )


def draw_request(event: Event, _can: Can) -> str:
    data = event["data"]
    return _hint(f"request-{data['id']}-ended", data["status"])


def draw_model_row(event: Event, can: Can, provider: str, name: str) -> str:
    """The row as it is now; a model that came or went changes the list itself."""
    try:
        model = registry.get_installed(provider, name)
    except NotFound:
        return _hint(f"{model_element(provider, name)}-gone", event["id"])
    row, memory = model_lists.row_of(model), memory_of([model.name])
    return _part(
        "models_app/_model_row.html",
        can,
        row=row,
        memory=memory.get(model.name),
        version=event["id"],
    )


def draw_activation(event: Event, _can: Can) -> str:
    """Another model is active: two rows and the order of the list change."""
    return _hint("model-activation", event["id"])


def draw_memory(event: Event, can: Can, runtime: str) -> str:
    """The rows of what is in memory; what left it is among those fetched anew."""
    row = Runtime.objects.of_profile().filter(name=runtime).first()
    if row is None or row.kind != RuntimeKind.OLLAMA:
        return ""
    names = sorted(str(entry["name"]) for entry in row.loaded_models)
    provider = ProviderName.OLLAMA.value
    held = InstalledModel.objects.of_profile().filter(provider=provider)
    shown = held.filter(name__in=names).values_list("name", flat=True)
    rows = [draw_model_row(event, can, provider, name) for name in shown]
    state = f"{row.status} {' '.join(names)}"
    return "".join([*rows, _hint("model-memory", state)])


def draw_standing(_event: Event, can: Can) -> str:
    """The banners and the count in the rail, from one look at the rows."""
    now = alert_lists.standing()
    banners = _part("runtime_app/_alert_banners.html", can, standing=now)
    return banners + _part("runtime_app/_nav_alerts.html", can, standing=now)


def draw_alert(event: Event, can: Can) -> str:
    try:
        alert = alerts.get_alert(event["data"]["id"])
    except NotFound:
        return ""
    shown = alert_lists.with_before([alert])[0]
    return _part("runtime_app/_alert_row.html", can, shown=shown)


def draw_alert_summary(_event: Event, can: Can) -> str:
    return _part("runtime_app/_alert_summary.html", can, **alert_lists.summary())


def draw_active_box(_event: Event, can: Can) -> str:
    return _part("runtime_app/_active_box.html", can, chip=chip())


def draw_recent(_event: Event, can: Can) -> str:
    recent = operation_lists.latest()
    return _part("models_app/_model_recent.html", can, recent=recent)
