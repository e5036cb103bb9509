"""Papers of a month: from the JSON list, or from the page that carries the same list.

The page holds it in an attribute `data-props`, as escaped JSON with `dailyPapers`.
Attributes come in any order, so the page is searched for that one. Python's own HTML
parser is not used: a page of half a megabyte can keep it busy for minutes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from typing import Any
from urllib.parse import urlsplit

from venom_site.clients.news_posts import (
    LONGEST_SUMMARY,
    LONGEST_TITLE,
    PageChanged,
    Post,
    authors_of,
    newest_first,
)

ATTRIBUTE = "data-props"
MOST_ATTRIBUTES = 200
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_QUOTE = re.compile(r"""\s{0,20}=\s{0,20}(["'])""")


def read_json(body: bytes, base_url: str) -> tuple[Post, ...]:
    """The answer of `/api/daily_papers`; raises `PageChanged`."""
    try:
        entries = json.loads(body)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list):
        raise PageChanged(f"The papers of {_place(base_url)} are no JSON list.")
    return _posts(entries, base_url)


def read_page(body: bytes, base_url: str) -> tuple[Post, ...]:
    """The page of a month; raises `PageChanged`."""
    for props in _attributes(body.decode("utf-8", "replace")):
        if isinstance(entries := props.get("dailyPapers"), list):
            return _posts(entries, base_url)
    raise PageChanged(
        f"The papers page of {_place(base_url)} has changed: 0 items could be read."
    )


def _attributes(page: str) -> Iterator[dict[str, Any]]:
    """The objects that stand in attributes of that name."""
    at = 0
    for _try in range(MOST_ATTRIBUTES):
        at = page.find(ATTRIBUTE, at)
        if at < 0:
            return
        at += len(ATTRIBUTE)
        begins = _QUOTE.match(page, at)
        ends = page.find(begins[1], begins.end()) if begins else -1
        if begins is None or ends < 0:
            continue
        try:
            found = json.loads(unescape(page[begins.end() : ends]))
        except (ValueError, RecursionError):
            continue
        at = ends
        if isinstance(found, dict):
            yield found


def _posts(entries: list[Any], base_url: str) -> tuple[Post, ...]:
    posts = [_post(entry, base_url) for entry in entries]
    readable = newest_first(post for post in posts if post)
    if posts and not readable:
        raise PageChanged(
            f"The papers of {_place(base_url)} have changed: "
            f"of {len(posts)} items 0 could be read."
        )
    return readable


def _post(entry: object, base_url: str) -> Post | None:
    """None for what has no id or no title; the rest may be missing."""
    outer = entry if isinstance(entry, dict) else {}
    paper = outer.get("paper")
    paper = paper if isinstance(paper, dict) else {}
    number = paper.get("id")
    title = _line(paper.get("title") or outer.get("title"), LONGEST_TITLE)
    if not (isinstance(number, str) and _ID.match(number) and title):
        return None
    # `publishedAt` is the date of the archive, days or weeks older than the news.
    told = paper.get("submittedOnDailyAt") or outer.get("publishedAt")
    return Post(
        title=title,
        url=f"{base_url}/papers/{number}",
        summary=_line(paper.get("summary") or outer.get("summary"), LONGEST_SUMMARY),
        published_at=_moment(told),
        authors=authors_of(_names(paper.get("authors"))),
    )


def _names(authors: object) -> Iterator[object]:
    for author in authors if isinstance(authors, list) else ():
        if isinstance(author, dict) and not author.get("hidden"):
            yield author.get("name")


def _line(text: object, longest: int) -> str:
    """Plain text in one line; cut at a word."""
    words = " ".join(text.split()) if isinstance(text, str) else ""
    if len(words) <= longest:
        return words
    return words[: longest - 1].rsplit(" ", 1)[0] + "…"


def _moment(told: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC) if moment else None


def _place(base_url: str) -> str:
    return urlsplit(base_url).netloc
