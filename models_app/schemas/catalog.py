"""What catalogues may be asked, and the shape in which their models leave.

Field names are those of docs/api.md. What a source does not say is null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from ninja import Schema
from pydantic import AfterValidator, Field, StringConstraints

from models_app.choices import ProviderName
from models_app.schemas.models import Provider, size_gb
from venom_site.lib.units import iso

if TYPE_CHECKING:
    from models_app.services.catalog import Answer
    from models_app.services.catalog_rows import Row
    from models_app.services.news import News

LONGEST_QUERY = 100
SORTS = ("trending", "downloads", "likes", "newest", "updated")


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be text on one line")
    return value


Words = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=LONGEST_QUERY),
    AfterValidator(_printable),
]
Wanted = Annotated[Words, Field(min_length=2)]
Cursor = Annotated[str, Field(max_length=2000), AfterValidator(_printable)]
Limit = Annotated[int, Field(ge=1, le=200)]
Sort = Literal["trending", "downloads", "likes", "newest", "updated"]


class ProvidersQuery(Schema):
    provider: Provider | None = None
    search: Words = ""
    limit: Limit = 20
    refresh: bool = False


class TrendingQuery(Schema):
    provider: Provider
    limit: Limit = 12
    sort: Literal["trending", "newest"] = "trending"
    refresh: bool = False


class SearchQuery(Schema):
    """`filter` may be given several times."""

    query: Wanted
    provider: Provider = ProviderName.HUGGINGFACE.value
    limit: Limit = 10
    cursor: Cursor = ""
    author: Words = ""
    filter: Annotated[list[Words], Field(max_length=10)] = []
    sort: Sort | None = None
    refresh: bool = False


class LibraryQuery(Schema):
    search: Words = ""
    limit: Limit = 20
    refresh: bool = False


class ListedOut(Schema):
    """Sizes in GB of 10⁹ bytes; `gated` is `auto`, `manual` or null."""

    provider: str
    model_name: str
    display_name: str
    size_gb: float | None
    size_exact: bool
    runtime: str
    tags: list[str]
    downloads: int | None
    likes: int | None
    owner: str | None
    description: str | None
    url: str | None
    capabilities: list[str]
    sizes: list[str]
    parameters: int | None
    parameter_size: str | None
    quantization: str | None
    format: str | None
    context_length: int | None
    license: str | None
    gated: str | None
    private: bool
    remote: bool
    updated_at: str | None
    installed: bool
    installed_names: list[str]
    fit: dict[str, Any] | None
    note: str | None


class FreshnessOut(Schema):
    """How good the copy is; `next_try_at` is null where the source may be asked."""

    stale: bool
    error: str | None
    error_code: str | None
    fetched_at: str | None
    next_try_at: str | None


class SourceOut(FreshnessOut):
    provider: str


class CatalogAnswer(FreshnessOut):
    success: bool = True
    provider: str | None
    models: list[ListedOut]
    count: int
    next: str | None = None


class ProvidersAnswer(CatalogAnswer):
    sources: list[SourceOut]


def listed_payload(
    row: Row, *, note: str = "", fit: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The fields of `ListedOut`; `fit` in the form of `services/fit.py`."""
    item = row.item
    return {
        "provider": item.provider,
        "model_name": item.name,
        "display_name": item.display_name,
        "size_gb": size_gb(item.size_bytes),
        "size_exact": item.is_exact,
        "runtime": row.runtime,
        "tags": list(item.tags),
        "downloads": item.downloads,
        "likes": item.likes,
        "owner": item.owner or None,
        "description": item.description or None,
        "url": item.url or None,
        "capabilities": list(item.capabilities),
        "sizes": list(item.sizes),
        "parameters": item.parameters,
        "parameter_size": item.parameter_size or None,
        "quantization": item.quantization or None,
        "format": item.format or None,
        "context_length": item.context_length,
        "license": item.license or None,
        "gated": item.gated or None,
        "private": item.is_private,
        "remote": item.is_remote,
        "updated_at": iso(item.updated_at),
        "installed": bool(row.installed),
        "installed_names": list(row.installed),
        "fit": fit,
        "note": note or None,
    }


def freshness_payload(answer: Answer | News) -> dict[str, Any]:
    """The fields of `FreshnessOut`."""
    kept = answer.kept
    return {
        "stale": kept.stale,
        "error": kept.error or None,
        "error_code": kept.error_code or None,
        "fetched_at": iso(kept.fetched_at),
        "next_try_at": iso(kept.next_try_at),
    }
