"""A feed's bytes read into posts: RSS and Atom, with whatever they lack."""

from __future__ import annotations

import calendar
import io
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import feedparser

from venom_site.clients.news_posts import (
    LONGEST_SUMMARY,
    LONGEST_TITLE,
    PageChanged,
    Post,
    authors_of,
    language_of,
    newest_first,
)
from venom_site.lib.safe_html import plain_text
from venom_site.lib.tidy_html import safe_url


def read_feed(body: bytes, content_type: str, base_url: str) -> tuple[Post, ...]:
    """Posts, newest first; a feed without any is empty. Raises `PageChanged` for what
    is no feed, and for one of which not a single item has an address."""
    place = urlsplit(base_url).netloc
    # Of a few kilobytes a parser would make gigabytes; no feed needs its own.
    if b"<!ENTITY" in body.replace(b"\0", b"").upper():
        raise PageChanged(f"The feed of {place} declares entities; it is not read.")
    # From a file, since bytes might be taken for a path; nothing is fetched for it.
    found = feedparser.parse(
        io.BytesIO(body),
        response_headers={"content-type": content_type},
        resolve_relative_uris=False,
        sanitize_html=False,
    )
    if not found.get("version"):
        raise PageChanged(f"What {place} answers is no feed.")
    language = language_of(found.feed.get("language"))
    posts = [_post(entry, base_url, language) for entry in found.entries]
    readable = newest_first(post for post in posts if post)
    if posts and not readable:
        raise PageChanged(
            f"The feed of {place} has changed: of {len(posts)} items 0 could be read."
        )
    return readable


def _post(entry: dict[str, Any], base_url: str, language: str) -> Post | None:
    """None for an item that leads nowhere."""
    url = safe_url(str(entry.get("link") or ""), base_url)
    if not url:
        return None
    slug = urlsplit(url).path.rstrip("/").rsplit("/", 1)[-1]
    title = plain_text(str(entry.get("title") or ""), longest=LONGEST_TITLE)
    told = entry.get("summary") or _content(entry)
    return Post(
        title=title or slug or url,
        url=url,
        summary=plain_text(str(told or ""), longest=LONGEST_SUMMARY),
        published_at=_moment(_told(entry, "published") or _told(entry, "updated")),
        authors=authors_of(
            author.get("name") for author in entry.get("authors") or () if author
        ),
        lang=language,
    )


def _told(entry: dict[str, Any], what: str) -> time.struct_time | None:
    """feedparser's own `get` warns, since it gives one date for the other."""
    return dict.get(entry, f"{what}_parsed")


def _content(entry: dict[str, Any]) -> object:
    parts = entry.get("content") or ()
    return parts[0].get("value") if parts else ""


def _moment(parsed: time.struct_time | None) -> datetime | None:
    """feedparser gives UTC."""
    if parsed is None:
        return None
    try:
        return datetime.fromtimestamp(calendar.timegm(parsed), UTC)
    except (ValueError, OverflowError, OSError):
        return None
