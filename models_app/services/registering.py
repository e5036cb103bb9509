"""Writing the registry: a row is made, brought up to date, or goes.

Used by installs, removals and discovery. Each change is told to pages and exported by
the node's worker; what was set by hand always stays.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from models_app.choices import CapabilitySource, ModelStatus
from models_app.events import model_changed
from models_app.models import Capabilities, InstalledModel, Node
from models_app.providers.base import Description, FoundModel
from models_app.services.figures import stored
from venom_site.lib.events import publish
from venom_site.lib.queue import send_job

JOB_LIFE_SECONDS = 60
LARGEST_SIZE = 2**63 - 1  # what the column takes
LONGEST_CONTEXT = 2**31 - 1


def register(
    node: Node,
    found: FoundModel,
    *,
    provider: str,
    description: Description | None,
    installed_by: str = "",
    source: str = "",
    status: str = ModelStatus.INSTALLED,
    error: str = "",
) -> InstalledModel:
    """Make its row or bring it up to date; tells pages and has the manifest exported.

    `description` is None where nobody has asked yet: what an earlier one said stays.
    What was set by hand always stays.
    """
    model = write_row(
        node,
        found,
        provider=provider,
        description=description,
        status=status,
        error=error,
        installed_by=installed_by,
        source=source,
    )
    _export_soon(node)
    return model


def write_row(
    node: Node,
    found: FoundModel,
    *,
    provider: str,
    description: Description | None,
    **fields: str,
) -> InstalledModel:
    """`register` without the export, for whoever writes many and exports once."""
    try:
        return _write_row(node, found, provider, description, fields)
    except IntegrityError:  # somebody else has just made it: theirs is brought up
        return _write_row(node, found, provider, description, fields)


@transaction.atomic
def _write_row(
    node: Node,
    found: FoundModel,
    provider: str,
    description: Description | None,
    fields: dict[str, str],
) -> InstalledModel:
    rows = InstalledModel.objects.select_for_update().filter(
        node=node,
        provider=provider,
        name__iexact=found.name,
        revision=found.revision,
    )
    model = rows.first() or InstalledModel(
        node=node, provider=provider, name=found.name, revision=found.revision
    )
    is_new = model._state.adding
    said = None if is_new else Capabilities.objects.filter(model=model).first()
    by_hand = said is not None and said.source == CapabilitySource.MANUAL
    facts = facts_of(found)
    if by_hand:
        facts.pop("quantization", None)
    if model.size_bytes is not None and not is_exact(found):
        facts.pop("size_bytes", None)  # a list without digests also rounds its sizes
    is_other = is_new or model.digest != facts.get("digest", model.digest)
    if is_other:
        model.installed_at = _not_later_than_now(found.modified_at)
        model.figures = {}  # of other bytes, and so is what they were seen to take
        model.measured_bytes = model.measured_context = model.measured_at = None
    for name, value in (facts | _given(fields)).items():
        setattr(model, name, value)
    model.seen_at = timezone.now()
    if description is not None:
        model.license = _fitted(description.license, 200)
        model.described_digest = model.digest
        _write_figures(model, description)
        if not by_hand:
            model.context_length = _number(description.context_length, LONGEST_CONTEXT)
    if is_new:
        model.full_clean(validate_unique=False, validate_constraints=False)
    model.save()
    if description is not None and not by_hand:
        _write_capabilities(model, description, {} if is_other else _probed(said))
    _tell(model, model.status)
    return model


def _given(fields: dict[str, str]) -> dict[str, str]:
    """Who installed it and from where stay known when an update does not say."""
    kept = ("installed_by", "source")
    given = {name: text for name, text in fields.items() if text or name not in kept}
    longest = {"error": 500, "source": 250, "installed_by": 150}
    return {name: _fitted(text, longest.get(name, 16)) for name, text in given.items()}


def facts_of(found: FoundModel) -> dict[str, Any]:
    """The columns that a store's list tells, cut to what they take; what it does not
    tell is absent, so that an earlier and fuller answer stays."""
    told = {
        "digest": _fitted(found.digest, 100),
        "size_bytes": _number(found.size_bytes, LARGEST_SIZE),
        "format": _fitted(found.format, 20),
        "family": _fitted(found.family, 80),
        "parameter_size": _fitted(found.parameter_size, 20),
        "quantization": _fitted(found.quantization, 40),
        "is_remote": found.is_remote,
        "path": _fitted(found.path, 500),
        "files": list(found.files),
        "is_foreign": found.is_foreign,
    }
    return {name: value for name, value in told.items() if value not in ("", None, [])}


def is_exact(found: FoundModel) -> bool:
    """Whether its size was counted: by a store that proves bytes, or file by file."""
    return bool(found.digest or found.files)


def is_of_folders(found: FoundModel) -> bool:
    """Whether its store looks at its own files each time, and says what is wrong."""
    return bool(found.path)


def _fitted(text: str, longest: int) -> str:
    """Text that every database stores: no NUL, no half characters, not too long."""
    clean = text.encode("utf-8", "ignore").decode().replace("\0", "").strip()
    return clean[:longest]


def _number(value: int | None, largest: int) -> int | None:
    return value if value is not None and 0 <= value <= largest else None


def _write_figures(model: InstalledModel, said: Description) -> None:
    """What memory is computed from; what the list told already stays."""
    figures = said.figures
    if figures is None:
        return
    model.figures = stored(figures)
    model.family = model.family or _fitted(figures.architecture, 80)
    model.quantization = model.quantization or _fitted(figures.quantization, 40)
    if not model.parameter_size and figures.parameters:
        model.parameter_size = parameters_text(figures.parameters)


def parameters_text(parameters: int) -> str:
    """8030261248 → 8.03B, as model pages write it."""
    for step, letter in ((10**9, "B"), (10**6, "M")):
        if parameters >= step:
            return f"{parameters / step:.3g}{letter}"
    return str(parameters)


def _not_later_than_now(moment: datetime | None) -> datetime:
    now = timezone.now()
    if moment is None or moment.tzinfo is None:
        return now
    return min(moment, now)


def _probed(said: Capabilities | None) -> dict[str, Any]:
    """What a trial of these very bytes has proved: a description does not undo it."""
    sources = said.sources if said and isinstance(said.sources, dict) else {}
    return {
        name: getattr(said, name)
        for name, source in sources.items()
        if source == CapabilitySource.PROBED and hasattr(said, name)
    }


def _write_capabilities(
    model: InstalledModel, said: Description, probed: dict[str, Any]
) -> None:
    declared = {
        "supports_chat": said.supports_chat,
        "supports_embedding": said.supports_embedding,
        "supports_system_role": said.supports_system_role,
        "supports_function_calling": said.supports_function_calling,
        "supports_vision": said.supports_vision,
        "supports_thinking": said.supports_thinking,
        "allowed_roles": list(said.allowed_roles),
    }
    source = CapabilitySource.PROBED if probed else CapabilitySource.DECLARED
    tried = dict.fromkeys(probed, CapabilitySource.PROBED.value)
    if probed:  # each has a word of its own then: `source` speaks for the rest
        names = (*declared, "context_length", "quantization")
        tried = dict.fromkeys(names, CapabilitySource.DECLARED.value) | (
            (said.sources or {}) | tried
        )
    Capabilities.objects.update_or_create(
        model=model,
        defaults=declared
        | probed
        | {"source": source, "sources": (said.sources or {}) | tried},
    )


def forget(model: InstalledModel) -> None:
    """Its row goes, and what hangs on it; a second time is harmless."""
    drop_row(model)
    _export_soon(model.node)


def drop_row(model: InstalledModel) -> None:
    """`forget` without the export."""
    with transaction.atomic():
        InstalledModel.objects.filter(pk=model.pk).delete()
        _tell(model, ModelStatus.AVAILABLE)


def register_change(model: InstalledModel) -> None:
    """Tell pages and the manifest that somebody changed what is known of it."""
    _tell(model, model.status)
    _export_soon(model.node)


def _tell(model: InstalledModel, status: str) -> None:
    publish(
        model_changed(
            {
                "node": model.node.name,
                "provider": model.provider,
                "name": model.name,
                "status": status,
            }
        )
    )


def _export_soon(node: Node) -> None:
    """The worker of the node writes the file: it alone is sure to have the folder."""
    transaction.on_commit(
        lambda: send_job(
            "models_app.export_manifest",
            queue=node.queue,
            life_seconds=JOB_LIFE_SECONDS,
        ),
        robust=True,
    )
