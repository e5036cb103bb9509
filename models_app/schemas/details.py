"""One model of a catalogue as it leaves: variants, licence, access, fit.

Field names are those of docs/api.md. What a source does not say is null. `card` is the
Markdown of strangers: whoever shows it has to make it safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from ninja import Schema
from pydantic import AfterValidator, Field

from models_app.schemas.catalog import FreshnessOut
from models_app.schemas.models import Provider, size_gb
from venom_site.lib.names import model_name
from venom_site.lib.units import iso

if TYPE_CHECKING:
    from models_app.services.details import JudgedDetails
    from models_app.services.variants import JudgedVariant

Revision = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9_./-]*$")]


class DetailsQuery(Schema):
    """`revision` is a branch, tag or commit where the source has them."""

    provider: Provider
    name: Annotated[str, AfterValidator(model_name)]
    revision: Revision = ""
    refresh: bool = False


class FitOut(Schema):
    verdict: str
    needed_bytes: int | None
    available_bytes: int | None
    missing_bytes: int
    context: int | None
    longest_context: int | None
    place: str | None
    measured: bool
    rough: bool
    busy: bool
    store_ok: bool


class VariantOut(Schema):
    """`name` is what POST `/models/install` takes, with `provider`."""

    name: str
    label: str
    provider: str
    runtime: str
    size_bytes: int | None
    size_gb: float | None
    size_exact: bool
    quantization: str | None
    format: str | None
    parameter_size: str | None
    context_length: int | None
    digest: str | None
    files: int | None
    complaint: str | None
    remark: str | None
    installed: bool
    recommended: bool
    fit: FitOut | None


class GatedOut(Schema):
    """`state` is `open`, `token_missing`, `licence_missing` or `denied`."""

    state: str
    gate: str | None
    note: str | None
    next_step: str | None


class DetailsAnswer(FreshnessOut):
    success: bool = True
    provider: str
    name: str
    display_name: str
    owner: str | None
    description: str | None
    url: str | None
    revision: str | None
    license: str | None
    license_url: str | None
    context_length: int | None
    parameters: int | None
    parameter_size: str | None
    capabilities: list[str]
    tags: list[str]
    architectures: list[str]
    downloads: int | None
    likes: int | None
    remote: bool
    updated_at: str | None
    gated: GatedOut
    variants: list[VariantOut]
    note: str | None
    card: str | None


def details_payload(
    found: JudgedDetails, fits: list[dict[str, Any] | None], *, note: str = ""
) -> dict[str, Any]:
    """`fits` are those of the variants in their order, as `fit_payload` has them."""
    details, listed, answer = found.details, found.details.listed, found.kept
    best = found.recommended
    return {
        "provider": found.provider,
        "name": listed.name,
        "display_name": listed.display_name,
        "owner": listed.owner or None,
        "description": listed.description or None,
        "url": listed.url or None,
        "revision": details.revision or None,
        "license": listed.license or None,
        "license_url": details.license_url or None,
        "context_length": listed.context_length,
        "parameters": listed.parameters,
        "parameter_size": listed.parameter_size or None,
        "capabilities": list(listed.capabilities),
        "tags": list(listed.tags),
        "architectures": list(details.architectures),
        "downloads": listed.downloads,
        "likes": listed.likes,
        "remote": listed.is_remote,
        "updated_at": iso(listed.updated_at),
        "gated": {
            "state": details.access.value,
            "gate": listed.gated or None,
            "note": details.access_note or None,
            "next_step": found.next_step or None,
        },
        "variants": [
            _variant(each, fit, is_best=each is best)
            for each, fit in zip(found.variants, fits, strict=True)
        ],
        "note": note or None,
        "card": details.card or None,
        "stale": answer.stale,
        "error": answer.error or None,
        "error_code": answer.error_code or None,
        "fetched_at": iso(answer.fetched_at),
        "next_try_at": iso(answer.next_try_at),
    }


def _variant(
    judged: JudgedVariant, fit: dict[str, Any] | None, *, is_best: bool
) -> dict[str, Any]:
    variant = judged.variant
    return {
        "name": variant.name,
        "label": variant.label,
        "provider": judged.provider,
        "runtime": judged.runtime,
        "size_bytes": variant.size_bytes,
        "size_gb": size_gb(variant.size_bytes),
        "size_exact": variant.is_exact,
        "quantization": variant.quantization or None,
        "format": variant.format or None,
        "parameter_size": variant.parameter_size or None,
        "context_length": variant.context_length,
        "digest": variant.digest or None,
        "files": variant.files or None,
        "complaint": str(variant.complaint) or None,
        "remark": str(variant.remark) or None,
        "installed": bool(judged.installed),
        "recommended": is_best,
        "fit": fit,
    }
