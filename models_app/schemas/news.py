"""What news may be asked, and the shape in which they leave; names of docs/api.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from ninja import Schema
from pydantic import AfterValidator, Field

from models_app.choices import PROVIDER_ALIASES, ProviderName
from models_app.schemas.catalog import FreshnessOut, freshness_payload
from venom_site.lib import months

if TYPE_CHECKING:
    from models_app.services.news import News

FIRST_MONTH = "2023-01"  # nothing older is asked for: papers began in that year
HUGGINGFACE = ProviderName.HUGGINGFACE.value


def _with_news(value: str) -> str:
    name = PROVIDER_ALIASES.get(value, value)
    if name != HUGGINGFACE:
        raise ValueError(f"must be {HUGGINGFACE}, the only source of news")
    return name


def _known_month(value: str) -> str:
    return months.checked(value, first=FIRST_MONTH) if value else value


class NewsQuery(Schema):
    """`month` empty is the present one for papers and every one for the blog."""

    provider: Annotated[str, AfterValidator(_with_news)] = HUGGINGFACE
    limit: Annotated[int, Field(ge=1, le=200)] = 5
    type: Literal["blog", "papers"] = "blog"
    month: Annotated[str, AfterValidator(_known_month)] = ""
    lang: Literal["pl", "en", "de"] | None = None
    refresh: bool = False


class NewsItemOut(Schema):
    """Plain text; `lang` is the language it is written in, whichever was asked for."""

    title: str
    url: str
    summary: str
    published_at: str | None
    authors: list[str]
    source: str
    lang: str


class NewsAnswer(FreshnessOut):
    success: bool = True
    provider: str
    items: list[NewsItemOut]
    count: int


def news_payload(found: News, limit: int) -> dict[str, Any]:
    items = found.items[:limit]
    return {
        "provider": HUGGINGFACE,
        "items": items,
        "count": len(items),
    } | freshness_payload(found)
