"""News and papers for programs: kept copies of what is written about models."""

from __future__ import annotations

from typing import Any

from ninja import Query, Router

from models_app.schemas.news import NewsAnswer, NewsQuery, news_payload
from models_app.services import catalog, news
from venom_site.lib.access import Scope, require
from venom_site.lib.htmx import VenomRequest

router = Router()


@router.get("/news", response=NewsAnswer, summary="What is written about models")
def list_news(request: VenomRequest, query: Query[NewsQuery]) -> dict[str, Any]:
    """Posts of the blog, or papers of a month; `refresh` is for operators."""
    require(request.principal, Scope.OPERATE if query.refresh else Scope.READ)
    found = news.news(query.type, month=query.month, refresh=query.refresh)
    if not found.has_copy:
        raise catalog.refusal_of(found.kept)
    return news_payload(found, query.limit)
