"""GET `/models/details`: one model of a catalogue, judged for this machine."""

from __future__ import annotations

from typing import Any

from ninja import Query, Router

from models_app.schemas.details import DetailsAnswer, DetailsQuery, details_payload
from models_app.services import catalog
from models_app.services.details import judged_details
from models_app.services.fit import fit_payload
from venom_site.lib.access import Scope, require
from venom_site.lib.htmx import VenomRequest

router = Router()


@router.get("/details", response=DetailsAnswer, summary="One model of a catalogue")
def get_details(request: VenomRequest, query: Query[DetailsQuery]) -> dict[str, Any]:
    """Reading is for readers; having a foreign host asked again is for operators."""
    require(request.principal, Scope.OPERATE if query.refresh else Scope.READ)
    catalog.refuse_without_models()
    found = judged_details(
        query.provider, query.name, query.revision, refresh=query.refresh
    )
    fits = [fit_payload(each.fit) if each.fit else None for each in found.variants]
    return details_payload(found, fits, note=catalog.note_of(query.provider))
