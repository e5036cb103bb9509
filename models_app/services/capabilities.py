"""What a model can do: who says so, setting it by hand, and taking that back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from history_app import audit
from models_app.choices import CapabilitySource
from models_app.models import Capabilities, InstalledModel
from models_app.schemas.capabilities import (
    CapabilitiesBody,
    capabilities_payload,
    sources_of,
)
from models_app.services.discovery import send_discovery
from models_app.services.registering import register_change
from venom_site.lib.access import Principal
from venom_site.lib.errors import InvalidBody, NotFound

# These two stand with the model: its provider tells them of the content itself.
OF_MODEL = {"max_context_length": "context_length", "quantization": "quantization"}


def capabilities_of(model: InstalledModel) -> Capabilities | None:
    """Read anew; None while nobody has said anything."""
    return Capabilities.objects.filter(model=model).first()


def set_capabilities(
    model: InstalledModel, wanted: CapabilitiesBody, *, actor: Principal
) -> InstalledModel:
    """Write what was given; from then on no provider's word overwrites any of it.

    Returns the model as it is then, with its capabilities.
    """
    with transaction.atomic():
        model = _still_there(model)
        known = Capabilities.objects.select_for_update().filter(model=model).first()
        said = known or Capabilities(model=model)
        before = capabilities_payload(model, known)
        given = wanted.given()
        sources = before["sources"] | dict.fromkeys(
            given, CapabilitySource.MANUAL.value
        )
        for name, value in given.items():
            _set(model, said, name, value)
        said.sources = sources
        _refuse_contradiction(said)
        said.source = CapabilitySource.MANUAL
        said.save()
        model.save(update_fields=list(OF_MODEL.values()))
        audit.record(
            actor,
            "model.capabilities",
            "model",
            model.pk,
            object_name=model.name,
            before=before,
            after=capabilities_payload(model, said),
        )
        register_change(model)
    return model


def reset_capabilities(model: InstalledModel, *, actor: Principal) -> InstalledModel:
    """Forget what was set by hand. The next look into the store, which is asked for
    here, describes the model anew; until then nobody knows."""
    with transaction.atomic():
        model = _still_there(model)
        known = capabilities_of(model)
        before = capabilities_payload(model, known)
        if known is not None:
            known.delete()
        model.context_length = None
        model.described_digest = ""
        model.save(update_fields=["context_length", "described_digest"])
        audit.record(
            actor,
            "model.capabilities",
            "model",
            model.pk,
            object_name=model.name,
            before=before,
            after=capabilities_payload(model, None),
        )
        register_change(model)
        transaction.on_commit(lambda: send_discovery(model.node.name), robust=True)
    return model


def note_probed(model: InstalledModel, proved: dict[str, bool]) -> None:
    """What a trial has proved stands before what was declared or read from a
    template; what a person set stays. Pages and manifest are told of a change."""
    with transaction.atomic():
        known = Capabilities.objects.select_for_update().filter(model=model).first()
        said = known or Capabilities(model=model)
        sources = said.sources if isinstance(said.sources, dict) else {}
        told = sources_of(model, said) | sources
        taken = {
            name: value
            for name, value in proved.items()
            if told.get(name) != CapabilitySource.MANUAL
        }
        if not taken:
            return
        for name, value in taken.items():
            setattr(said, name, value)
        probed = dict.fromkeys(taken, CapabilitySource.PROBED.value)
        said.sources = told | probed | _fitted_roles(said, told)
        if said.source != CapabilitySource.MANUAL:
            said.source = CapabilitySource.PROBED
        said.save()
        register_change(model)


def _fitted_roles(said: Capabilities, told: dict[str, str]) -> dict[str, str]:
    """The roles follow what was proved of the system role, unless a person set them;
    the source that they then have."""
    is_manual = told.get("allowed_roles") == CapabilitySource.MANUAL
    if not said.allowed_roles or is_manual or said.supports_system_role is None:
        return {}
    others = [role for role in said.allowed_roles if role != "system"]
    roles = ["system", *others] if said.supports_system_role else others
    if roles == said.allowed_roles:
        return {}
    said.allowed_roles = roles
    return {"allowed_roles": CapabilitySource.PROBED.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """One line for people; `value` is None where nobody knows."""

    label: str
    value: bool | None
    source: str


SHOWN = (
    ("supports_chat", gettext_lazy("Chat")),
    ("supports_system_role", gettext_lazy("System role")),
    ("supports_function_calling", gettext_lazy("Tools")),
    ("supports_vision", gettext_lazy("Vision")),
    ("supports_thinking", gettext_lazy("Thinking")),
    ("supports_embedding", gettext_lazy("Embeddings")),
)


SAID = {
    CapabilitySource.DECLARED.value: gettext_lazy("declared"),
    CapabilitySource.TEMPLATE.value: gettext_lazy("read from its template"),
    CapabilitySource.PROBED.value: gettext_lazy("tried here"),
    CapabilitySource.MANUAL.value: gettext_lazy("set by hand"),
}


def abilities_of(model: InstalledModel, said: Capabilities) -> list[Ability]:
    """In the order in which a page shows them, with words for who says so."""
    told = sources_of(model, said)
    return [
        Ability(
            label=str(label),
            value=getattr(said, name),
            source=str(SAID.get(told.get(name, ""), "")),
        )
        for name, label in SHOWN
    ]


def _still_there(model: InstalledModel) -> InstalledModel:
    rows = InstalledModel.objects.select_for_update(of=("self",))
    found = rows.select_related("node").filter(pk=model.pk).first()
    if found is None:
        raise NotFound(_("“%(name)s” has just been removed.") % {"name": model.name})
    return found


def _set(model: InstalledModel, said: Capabilities, name: str, value: Any) -> None:
    if name in OF_MODEL:
        is_text = name == "quantization"
        setattr(model, OF_MODEL[name], value or "" if is_text else value)
    else:
        setattr(said, name, value)


def _refuse_contradiction(said: Capabilities) -> None:
    """What was sent may contradict what stood there before."""
    if said.supports_system_role is False and "system" in said.allowed_roles:
        sentence = _("allowed_roles holds system, but supports_system_role is false.")
        where = {"loc": "body.allowed_roles", "message": sentence}
        raise InvalidBody(sentence, errors=[where])
