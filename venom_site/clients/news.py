"""The wire to what is written about models: a blog's feed and the papers of a month.

Used by `models_app/services/news.py`. Facts: Hugging Face's feed is RSS 2.0 whose items
have a title, a date and a link and nothing else; papers come as JSON from
`/api/daily_papers`, and stand as JSON in the page of a month too (read 2026). Whatever
an item lacks is empty. Redirects are not followed; each answer is whole in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

from venom_site.clients import news_papers
from venom_site.clients.news_feed import read_feed
from venom_site.clients.news_posts import PageChanged, Post
from venom_site.lib import http
from venom_site.lib.errors import WireError
from venom_site.lib.http_answers import seconds_to_wait

__all__ = ["NewsBusy", "NewsClient", "PageChanged", "Post"]

TOTAL_SECONDS = 6.0
ALL_SECONDS = 14.0  # of a question with its second try, look-up of names included
FEED_BYTES, PAPERS_BYTES = 4 << 20, 8 << 20
MOST_POSTS, MOST_PAPERS = 300, 100
# Answers of a host that has no such route any more, or another thing at its place.
GONE = frozenset({404, 405, 410, 501, *range(300, 400)})
Result = TypeVar("Result")


class NewsBusy(WireError):
    """It asked us to wait: `wait_seconds`."""

    def __init__(self, message: str, *, wait_seconds: float) -> None:
        super().__init__(message, status=429, reason_code="RATE_LIMIT")
        self.wait_seconds = wait_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An address cut into the host and what is asked for there."""

    base_url: str
    path: str

    @classmethod
    def of(cls, url: str) -> Place:
        parts = urlsplit(url)
        path = parts.path or "/"
        whole = f"{path}?{parts.query}" if parts.query else path
        return cls(base_url=f"{parts.scheme}://{parts.netloc}", path=whole)

    def asking(self, **fields: str | int) -> str:
        return f"{self.path}{'&' if '?' in self.path else '?'}{urlencode(fields)}"


class NewsClient:
    """One feed and one list of papers; safe to use from several threads.

    Both calls raise `WireError`: `NewsBusy` where we have to wait, `PageChanged` where
    the answer is of a shape that nobody here can read.
    """

    def __init__(self, feed_url: str, papers_url: str) -> None:
        self._feed, self._papers = Place.of(feed_url), Place.of(papers_url)

    def blog(self) -> tuple[Post, ...]:
        """The newest posts, at most 300, newest first."""
        place = self._feed
        accept = "application/rss+xml, application/atom+xml, application/xml;q=0.9"

        def ask() -> tuple[Post, ...]:
            reply = _got(place.base_url, place.path, accept, FEED_BYTES)
            kind = reply.headers.get("content-type", "")
            return read_feed(reply.body, kind, place.base_url)[:MOST_POSTS]

        return _in_time(place, ask)

    def papers(self, month: str) -> tuple[Post, ...]:
        """Papers of a month (`2026-07`), at most 100, newest first.

        The page of the month is read only where the JSON is gone or has changed.
        """
        return _in_time(self._papers, lambda: self._read_papers(month))

    def _read_papers(self, month: str) -> tuple[Post, ...]:
        place = self._papers
        path = place.asking(month=month, sort="publishedAt", limit=MOST_PAPERS)
        try:
            body = _got(place.base_url, path, "application/json", PAPERS_BYTES).body
            return news_papers.read_json(body, place.base_url)
        except PageChanged as changed:
            return self._read_page(month, changed)

    def _read_page(self, month: str, changed: PageChanged) -> tuple[Post, ...]:
        base_url = self._papers.base_url
        try:
            path = f"/papers/month/{month}"
            body = _got(base_url, path, "text/html", PAPERS_BYTES).body
            return news_papers.read_page(body, base_url)[:MOST_PAPERS]
        except PageChanged:
            raise changed from None


def _got(base_url: str, path: str, accept: str, limit_bytes: int) -> http.Reply:
    """An answer with status 200; every other becomes an error that names it."""
    with http.client(base_url) as wire:
        reply = http.ask_reply(
            wire,
            path,
            headers={"Accept": accept},
            total_seconds=TOTAL_SECONDS,
            limit_bytes=limit_bytes,
        )
    if reply.status == 200:
        return reply
    said = f"{urlsplit(base_url).netloc} answered {reply.status}."
    if reply.status == 429 or (reply.status == 503 and "retry-after" in reply.headers):
        raise NewsBusy(said, wait_seconds=seconds_to_wait(reply.headers))
    if reply.status in GONE:
        raise PageChanged(said, status=reply.status)
    raise WireError(said, permanent=reply.status < 500, status=reply.status)


def _in_time(place: Place, call: Callable[[], Result]) -> Result:
    return http.within(ALL_SECONDS, place.base_url, call)
