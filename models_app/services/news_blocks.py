"""A section of the news page: one source, so many of its items, how old they are.

Nothing is asked of a source here unless the caller says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from models_app.choices import CatalogSource
from models_app.schemas.news import FIRST_MONTH
from models_app.services import news
from models_app.services.news import Item, News
from venom_site.lib import months


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """An item as a page shows it: its first authors, and how many there are more."""

    item: Item
    at: datetime | None
    by: tuple[str, ...]
    others: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """`is_due`: a script should have its source asked. `first_day` is that of the
    month shown; `earlier` and `later` are months or empty."""

    source: str
    found: News
    articles: tuple[Article, ...]
    page: int
    pages: int
    is_due: bool
    first_day: date
    earlier: str = ""
    later: str = ""

    @property
    def label(self) -> str:
        return str(CatalogSource(self.source).label)

    @property
    def element(self) -> str:
        return f"news-{self.source}"

    @property
    def is_papers(self) -> bool:
        return self.source == news.PAPERS


def block(
    source: str,
    *,
    month: str,
    page: int,
    size: int,
    ask: bool = False,
    refresh: bool = False,
) -> Block:
    """The `page` (from 1) of `size` items; papers of that month. One beyond the last
    is the last."""
    wanted = month if source == news.PAPERS else ""
    found = news.news(source, month=wanted, refresh=refresh, wait=ask or refresh)
    pages = max(1, -(-len(found.items) // size))
    page = min(page, pages)
    shown = found.items[(page - 1) * size : page * size]
    earlier, later = months.shifted(month, -1), months.shifted(month, 1)
    return Block(
        source=source,
        found=found,
        articles=tuple(map(_article, shown)),
        page=page,
        pages=pages,
        is_due=found.kept.is_due and not (ask or refresh),
        first_day=months.first_day(month),
        earlier=earlier if earlier >= FIRST_MONTH else "",
        later=later if later <= months.this_month() else "",
    )


NAMED = 3


def _article(item: Item) -> Article:
    moment, authors = item["published_at"], item["authors"]
    return Article(
        item=item,
        at=datetime.fromisoformat(moment) if moment else None,
        by=tuple(authors[:NAMED]),
        others=max(0, len(authors) - NAMED),
    )


def month_choices() -> list[tuple[str, date]]:
    """Every month there can be papers of, newest first, with its first day."""
    return [(month, months.first_day(month)) for month in months.since(FIRST_MONTH)]
