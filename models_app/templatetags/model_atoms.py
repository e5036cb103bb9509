"""Atoms of the models pages: the id of a row and its state in words.

Only values become text here; what a model is and what its server holds in memory is
asked by views and by the tags of `runtime_app`.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Protocol
from urllib.parse import quote

from django import template
from django.utils.translation import gettext_lazy as _

from models_app.choices import ModelStatus, PendingPhase
from models_app.providers.catalogue import Listed
from models_app.services.model_lists import ModelRow
from venom_site.lib.addresses import address
from venom_site.templatetags.pills import UNKNOWN_PILL, Pill

register = template.Library()


class InMemory(Protocol):
    """What a server last said of one model in its memory."""

    loaded: bool
    runtime_status: str


ACTIVE_LOADED = Pill("ok", "circle-check", _("Active · loaded"))
ACTIVE = Pill("ok", "circle-check", _("Active"))
ACTIVE_AWAY = Pill("", "ban", _("Active"))
LOADED = Pill("info", "cpu", _("Loaded"))
SCHEDULED = Pill("warn", "clock", _("Removing soon"))
STATES = {
    ModelStatus.AVAILABLE: Pill("", "cloud", _("Available")),
    ModelStatus.DOWNLOADING: Pill("info", "download", _("Downloading")),
    ModelStatus.INSTALLED: Pill("", "hard-drive", _("Installed")),
    ModelStatus.UPDATING: Pill("info", "download", _("Updating")),
    ModelStatus.REMOVING: Pill("info", "trash-2", _("Removing")),
    ModelStatus.FAILED: Pill("bad", "circle-x", _("Failed")),
    ModelStatus.BROKEN: Pill("bad", "triangle-alert", _("Broken")),
    ModelStatus.ALIAS_MISMATCH: Pill("bad", "triangle-alert", _("Alias mismatch")),
}


@register.filter
def row_id(row: ModelRow) -> str:
    """`model-ollama-1a2b3c4d5e6f`: the same on every page and in every fragment."""
    return model_element(row.provider, row.name)


def model_element(provider: str, name: str) -> str:
    """A name may hold characters that an id or a selector would not bear."""
    return f"model-{provider}-{sha256(name.lower().encode()).hexdigest()[:12]}"


@register.filter
def offer_element(item: Listed) -> str:
    """The same for a model that a catalogue lists."""
    return f"offer-{model_element(item.provider, item.name)}"


@register.filter
def activation_address(row: ModelRow) -> str:
    """The plan of a switch to it."""
    return f"{address('activate', row.runtime)}?model={quote(row.name, safe='')}"


@register.filter
def menu_address(row: ModelRow) -> str:
    """All that can be done with it, fetched when its menu is seen."""
    name = quote(row.name, safe="")
    return f"{address('model-menu')}?provider={row.provider}&name={name}"


@register.simple_tag
def model_state(row: ModelRow, memory: InMemory | None = None) -> Pill:
    """The one state that matters most now. Of a server that does not answer only what
    is on its disk is known, so that nothing of it is green."""
    if is_leaving(row):
        return SCHEDULED
    if row.status != ModelStatus.INSTALLED:
        return STATES.get(ModelStatus(row.status), UNKNOWN_PILL)
    is_away = memory is not None and memory.runtime_status == "offline"
    is_loaded = memory is not None and memory.loaded and not is_away
    if row.is_active:
        return ACTIVE_AWAY if is_away else ACTIVE_LOADED if is_loaded else ACTIVE
    return LOADED if is_loaded else STATES[ModelStatus.INSTALLED]


@register.filter
def is_leaving(row: ModelRow) -> bool:
    """Its removal is scheduled and can still be undone."""
    operation = row.operation
    is_scheduled = operation is not None and operation.phase == PendingPhase.SCHEDULED
    return is_scheduled and row.status == ModelStatus.REMOVING
