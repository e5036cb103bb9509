"""What is written about models: posts of a blog, papers of a month; kept as catalogues.

Everything comes through `kept_answers.py`: a page shows the copy at once, a source that
is away or has changed costs nothing but newness. Called by API and pages, and by the
job that refreshes what people look at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypedDict

from django.conf import settings

from models_app.choices import CatalogSource
from models_app.providers.base import (
    CatalogueChanged,
    ProviderAway,
    ProviderFailed,
    SourceBusy,
)
from models_app.schemas.news import FIRST_MONTH
from models_app.services.kept_answers import Ask, Kept, kept
from venom_site.clients.news import NewsBusy, NewsClient, PageChanged, Post
from venom_site.lib import months
from venom_site.lib.errors import UpstreamFailed, WireError
from venom_site.lib.units import iso

BLOG, PAPERS = CatalogSource.BLOG.value, CatalogSource.PAPERS.value
SOURCES = (BLOG, PAPERS)
VERSION = 1
FEED_KEY, MONTH_KEY = "feed", "month="


class Item(TypedDict):
    """Plain text throughout; `url` is http(s), `published_at` UTC ISO 8601 or null."""

    title: str
    url: str
    summary: str
    published_at: str | None
    authors: list[str]
    source: str
    lang: str


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Of one source, newest first. `month` is empty for the whole blog; `items` is
    empty also where there is no copy, which `has_copy` tells."""

    source: str
    month: str
    items: tuple[Item, ...]
    kept: Kept
    has_copy: bool


def news(
    source: str, *, month: str = "", refresh: bool = False, wait: bool = True
) -> News:
    """Posts or papers; a month narrows the posts and chooses the papers (default: the
    present one). `refresh` and `wait` as `kept` has them."""
    if source == PAPERS:
        month = month or months.this_month()
    key = f"{MONTH_KEY}{month}" if source == PAPERS else FEED_KEY
    answer = _kept(source, key, refresh=refresh, wait=wait)
    items = _items(answer.payload) or ()
    if source == BLOG and month:
        items = [each for each in items if (each["published_at"] or "")[:7] == month]
    return News(
        source=source,
        month=month,
        items=tuple(items),
        kept=answer,
        has_copy=_items(answer.payload) is not None,
    )


def _kept(source: str, key: str, *, refresh: bool, wait: bool) -> Kept:
    """A copy that another release has kept in another form is asked for again."""
    ask = _asking(source, key)
    answer = kept(source, key, ask, refresh=refresh, wait=wait)
    is_foreign = answer.payload is not None and _items(answer.payload) is None
    if is_foreign and wait and not refresh:
        return kept(source, key, ask, refresh=True)
    return answer


def _items(payload: Any) -> list[Item] | None:
    is_ours = isinstance(payload, dict) and payload.get("v") == VERSION
    return payload["items"] if is_ours else None


def _asking(source: str, key: str) -> Ask:
    client = NewsClient(settings.ENV.NEWS_BLOG_FEED_URL, settings.ENV.NEWS_PAPERS_URL)
    if source == BLOG:
        return partial(_asked, client.blog)
    return partial(_asked, partial(client.papers, key.removeprefix(MONTH_KEY)))


def _asked(call: Callable[[], tuple[Post, ...]]) -> dict[str, Any]:
    try:
        posts = call()
    except WireError as error:
        raise _refusal(error) from error
    return {"v": VERSION, "items": [_item(post) for post in posts]}


def _refusal(error: WireError) -> UpstreamFailed:
    if isinstance(error, NewsBusy):
        return SourceBusy(str(error), wait_seconds=error.wait_seconds)
    if isinstance(error, PageChanged):
        return CatalogueChanged(str(error))
    return (ProviderFailed if error.permanent else ProviderAway)(str(error))


def _item(post: Post) -> Item:
    return Item(
        title=post.title,
        url=post.url,
        summary=post.summary,
        published_at=iso(post.published_at),
        authors=list(post.authors),
        source=CatalogSource.HUGGINGFACE.value,
        lang=post.lang,
    )


def reader(source: str, key: str) -> Ask | None:
    """How the job that refreshes kept answers asks for this one again."""
    if source == BLOG:
        return _asking(source, key) if key == FEED_KEY else None
    try:
        months.checked(key.removeprefix(MONTH_KEY), first=FIRST_MONTH)
    except ValueError:
        return None
    return _asking(source, key)
