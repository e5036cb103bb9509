"""A question to a catalogue, its one spelling as a key, and how it is asked.

Keys are read back by the job that refreshes what people look at.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from models_app.providers.catalogues import SOURCES, catalogue_for
from models_app.services import catalog_shapes, kept_rows

STEPS = (50, 100, 200)  # how much of a list is kept; smaller wishes share a copy


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`kind` is trending, newest, search or details; what is empty is not asked."""

    source: str
    kind: str
    limit: int = 0
    query: str = ""
    cursor: str = ""
    author: str = ""
    filters: tuple[str, ...] = ()
    sort: str = ""
    name: str = ""
    revision: str = ""

    @property
    def key(self) -> str:
        """`search?limit=10&query=qwen`."""
        texts = ("query", "cursor", "author", "sort", "name", "revision")
        given = [(name, getattr(self, name)) for name in texts if getattr(self, name)]
        given += [("filter", word) for word in self.filters]
        if self.limit:
            given.append(("limit", str(self.limit)))
        return f"{self.kind}?{urlencode(sorted(given))}"


def trending(source: str, limit: int, *, kind: str = "trending") -> Question:
    """At most 200; the answer may hold more than `limit`."""
    step = next((step for step in STEPS if step >= limit), STEPS[-1])
    return Question(source=source, kind=kind, limit=step)


def search(
    source: str,
    query: str,
    *,
    limit: int,
    cursor: str = "",
    author: str = "",
    filters: tuple[str, ...] = (),
    sort: str = "",
) -> Question:
    """Letter case, spaces and the order of filters make no other question."""
    return Question(
        source=source,
        kind="search",
        limit=limit,
        query=" ".join(query.lower().split()),
        cursor=cursor,
        author=author,
        filters=tuple(sorted(set(filters))),
        sort=sort,
    )


def details(source: str, name: str, revision: str = "") -> Question:
    return Question(source=source, kind="details", name=name, revision=revision)


def read_key(source: str, key: str) -> Question | None:
    """The question behind a kept key; None for what is no list of models, or is a
    further page of one, whose cursor may no longer lead anywhere."""
    kind, _mark, rest = key.partition("?")
    if source not in SOURCES or kind not in ("trending", "newest", "search"):
        return None
    pairs = parse_qsl(rest)
    given = dict(pairs)
    question = Question(
        source=source,
        kind=kind,
        limit=int(given["limit"]) if given.get("limit", "").isdecimal() else 0,
        query=given.get("query", ""),
        author=given.get("author", ""),
        filters=tuple(value for name, value in pairs if name == "filter"),
        sort=given.get("sort", ""),
    )
    return question if question.limit and question.key == key else None


def ask(question: Question) -> catalog_shapes.Payload:
    """Ask the source itself; raises the refusals of `providers/base.py`."""
    catalogue = catalogue_for(question.source)
    if question.kind == "details":
        found = catalogue.details(question.name, question.revision)
        return catalog_shapes.details_payload(found)
    if question.kind == "search":
        page = catalogue.search(
            question.query,
            limit=question.limit,
            cursor=question.cursor,
            author=question.author,
            filters=question.filters,
            sort=question.sort,
        )
        return catalog_shapes.page_payload(page)
    lists = {"trending": catalogue.trending, "newest": catalogue.newest}
    page = lists[question.kind](question.limit)
    return catalog_shapes.page_payload(page, former=_names_kept(question))


def _names_kept(question: Question) -> tuple[str, ...]:
    """What the list held before, so that its page can say what rose and what is new."""
    row = kept_rows.row_of(question.source, kept_rows.bounded_key(question.key))
    return catalog_shapes.names_of(row.payload) if row else ()
