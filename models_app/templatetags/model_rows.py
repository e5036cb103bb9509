"""Rows of the list of installed models, drawn once for as long as nothing changes.

A list is asked for again and again and most of its rows are what they were. What is
remembered is drawn from nothing but what is in its key, so that it cannot be stale; a
row that counts down, moves or holds a form is drawn each time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from models_app.models import InstalledModel
from models_app.services.fit import Machine
from models_app.services.model_lists import ModelRow
from models_app.templatetags.fit_atoms import model_fit
from models_app.templatetags.model_atoms import InMemory, model_state
from venom_site.templatetags.atoms import age

register = template.Library()

TEMPLATE = "models_app/_model_row.html"
REMEMBERED = 1024  # rows of some kilobytes each


class Operator(Protocol):
    """Whether the reader may change anything; all that a row asks of `can`."""

    operate: bool


@dataclass(frozen=True, slots=True)
class _Asked:
    """Equal where all that the row shows is equal; `context` draws it and is not
    compared."""

    shown: tuple[object, ...]
    context: dict[str, Any] = field(compare=False)


@register.simple_tag(takes_context=True)
def listed_row(
    context: template.Context,
    row: ModelRow,
    memory: InMemory | None,
    machine: Machine,
) -> SafeString:
    """One line of a list; `memory` is what its server says of it."""
    drawn: dict[str, Any] = {
        "row": row,
        "memory": memory,
        "machine": machine,
        "oob": False,
    }
    if row.model is None or row.operation or (memory is not None and memory.loaded):
        more = {"can": context["can"], "csrf_token": context.get("csrf_token")}
        return render_to_string(TEMPLATE, drawn | more)
    may_operate = bool(context["can"].operate)
    shown = _shown(row, row.model, memory, machine)
    drawn["can"] = {"operate": may_operate}
    return _drawn(_Asked((get_language(), may_operate, *shown), drawn))


@lru_cache(maxsize=REMEMBERED)
def _drawn(asked: _Asked) -> SafeString:
    html = render_to_string(TEMPLATE, asked.context)
    asked.context.clear()
    return html


def _shown(
    row: ModelRow, model: InstalledModel, memory: InMemory | None, machine: Machine
) -> tuple[object, ...]:
    """Every column of the model, and of the rest what the row says of it."""
    columns = [value for name, value in vars(model).items() if name != "_state"]
    state = model_state(row, memory)
    return (
        repr(columns),
        row.runtime,
        row.status,
        row.is_active,
        (state.tone, state.icon, str(state.text)),
        model_fit(model, machine),
        age(model.last_used_at),
    )
