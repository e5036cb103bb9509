"""One piece of news as its source tells it, and the error of a source that changed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from venom_site.lib.errors import WireError

LONGEST_TITLE, LONGEST_SUMMARY, LONGEST_AUTHOR = 300, 2000, 100
MOST_AUTHORS = 50
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LANGUAGE = re.compile(r"[a-z]{2,3}(?=[-_]|\Z)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """All texts are plain text; `url` is an http(s) address, `lang` two letters."""

    title: str
    url: str
    summary: str = ""
    published_at: datetime | None = None
    authors: tuple[str, ...] = ()
    lang: str = "en"


class PageChanged(WireError):
    """The source answers with something that nobody here can read any more."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message, permanent=True, status=status)


def newest_first(posts: Iterable[Post]) -> tuple[Post, ...]:
    """Those without a date last; what is of one moment stays in its order."""
    return tuple(
        sorted(posts, key=lambda post: post.published_at or _EARLIEST, reverse=True)
    )


def authors_of(names: Iterable[object]) -> tuple[str, ...]:
    """Names that are some, each once."""
    found = (
        " ".join(name.split())[:LONGEST_AUTHOR]
        for name in names
        if isinstance(name, str)
    )
    return tuple(dict.fromkeys(name for name in found if name))[:MOST_AUTHORS]


def language_of(told: object) -> str:
    """`en` of `en-US`; English where nothing is said, which the real feed does."""
    found = _LANGUAGE.match(told.lower()) if isinstance(told, str) else None
    return found[0] if found else "en"
