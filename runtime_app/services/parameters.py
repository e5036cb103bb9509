"""Generation parameters of a model on a runtime: what may be set, and setting it.

Stored values are what the gateway sends for a request that leaves them open
(`gateway/params.py`); without any, the server's own defaults hold. Called by the API
and by the card on a model's page; asks no server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from history_app import audit
from runtime_app.governance.policy import bump_policy
from runtime_app.models import GenerationParameters, Runtime
from runtime_app.runtimes.generation import WIRE_NAMES, Parameter, parameters_for
from runtime_app.services.memory import runtime_for
from runtime_app.services.runtimes import find_runtime, get_runtime, installed_on
from venom_site.lib.access import Principal
from venom_site.lib.errors import BadRequest, NotFound
from venom_site.lib.names import is_model_name


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelParameters:
    """`model` is the server's own name; `stored` holds only what somebody set."""

    runtime: Runtime
    model: str
    parameters: tuple[Parameter, ...]
    stored: Mapping[str, float]

    def is_sent(self, name: str) -> bool:
        """Whether that server knows the parameter; the gateway drops the others."""
        return name in WIRE_NAMES[self.runtime.kind]


def parameters_of(name: str, runtime: str = "") -> ModelParameters:
    """Of the model `name` on `runtime`; left out, that is where the model belongs.

    404 for a model that the runtime has not, 422 for a runtime that is not there.
    """
    if not is_model_name(name):
        raise _unknown(name)
    row = find_runtime(runtime) if runtime else get_runtime(runtime_for(name))
    served, installed = row.serves(name), installed_on(row, name)
    if served is None and installed is None:
        raise _unknown(name, row)
    model = str(served["name"]) if served else installed.name if installed else name
    return ModelParameters(
        runtime=row,
        model=model,
        parameters=parameters_for(installed.context_length if installed else None),
        stored=_stored(row, model),
    )


def _unknown(name: str, runtime: Runtime | None = None) -> NotFound:
    if runtime is None:
        return NotFound(_("No model can be called “%(name)s”.") % {"name": name[:60]})
    words = _("%(runtime)s does not have the model “%(name)s”.")
    return NotFound(words % {"runtime": runtime.display_name, "name": name})


def _stored(runtime: Runtime, model: str) -> dict[str, float]:
    rows = GenerationParameters.objects.filter(runtime=runtime, model_name=model)
    found = rows.values_list("params", flat=True).first()
    return dict(found or {})


def set_parameters(
    name: str, params: Mapping[str, Any], *, runtime: str = "", actor: Principal
) -> ModelParameters:
    """Replace what is stored; null is left to the server, and nothing at all resets.

    One 400 lists every value that is wrong, and then nothing is stored.
    """
    known = parameters_of(name, runtime)
    _refuse_wrong(known, params)
    wanted = {key: value for key, value in params.items() if value is not None}
    try:
        _write(known, wanted, actor)
    except IntegrityError:  # somebody has just stored the first values
        _write(known, wanted, actor)
    return replace(known, stored=wanted)


def _refuse_wrong(known: ModelParameters, params: Mapping[str, Any]) -> None:
    table = {parameter.name: parameter for parameter in known.parameters}
    errors = []
    for name, value in params.items():
        if name not in table:
            names = ", ".join(table)
            complaint = _("is no parameter; there are %(names)s") % {"names": names}
        else:
            complaint = "" if value is None else table[name].complaint(value)
        if complaint:
            errors.append({"loc": f"body.params.{name[:40]}", "message": complaint})
    if errors:
        words = _("These values cannot be stored. Nothing was changed.")
        raise BadRequest(words, errors=errors)


@transaction.atomic
def _write(known: ModelParameters, wanted: dict[str, float], actor: Principal) -> None:
    rows = GenerationParameters.objects.select_for_update()
    place = {"runtime": known.runtime, "model_name": known.model}
    row = rows.filter(**place).first() or GenerationParameters(**place)
    before = row.params
    if before == wanted:
        return
    pk, row.params = row.pk, wanted
    row.changed_by, row.updated_at = actor.name[:150], timezone.now()
    if wanted:
        row.full_clean(validate_constraints=False)
        row.save()
    else:
        row.delete()
    audit.record(
        actor,
        "model.parameters",
        "parameters",
        pk,
        object_name=str(row),
        before=before,
        after=wanted,
    )
    bump_policy()
