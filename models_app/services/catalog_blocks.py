"""A source on a page: its list, how old that is, and what was asked to narrow it.

Pages show one block per source, so that a source that is away takes nothing from the
others. Nothing is asked of a source here unless the caller says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from models_app.choices import CatalogSource, ProviderName
from models_app.providers.catalogues import SOURCES
from models_app.services import catalog, catalog_rows
from models_app.services.catalog import Answer
from models_app.services.catalog_rows import Held, Row
from models_app.services.catalog_words import Words
from models_app.services.machine import Machine, read_machine

TRENDING_ROWS = 12
CATALOG_ROWS = 20
# On pages the library stands first: its models run in every profile with models.
ON_PAGES = tuple(sorted(SOURCES, key=lambda each: each != ProviderName.OLLAMA))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a block shows: popular, newest, or what was typed; `cursor` a later page.
    With `is_ranked` lines have a number and say what rose."""

    is_ranked: bool = False
    newest: bool = False
    words: Words = field(default_factory=Words)
    cursor: str = ""
    limit: int = TRENDING_ROWS

    @property
    def is_search(self) -> bool:
        return bool(self.words.text or self.words.author or self.cursor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """`left_out` counts what the hints took away; `note` marks a source whose models
    another profile has. `is_due`: a script should have its source asked."""

    source: str
    answer: Answer
    rows: list[Row]
    left_out: int = 0
    note: str = ""
    is_due: bool = False

    @property
    def label(self) -> str:
        return str(CatalogSource(self.source).label)

    @property
    def element(self) -> str:
        return f"catalog-{self.source}"


def blocks(wish: Wish, *, ask: str = "") -> list[Block]:
    """One block for each source that is wanted; `ask` is the source that may be asked
    now, if its copy is old or missing."""
    wanted = [each for each in ON_PAGES if wish.words.wants(each)]
    here = catalog_rows.held_here(), read_machine()
    return [_block(wish, each, *here, ask=each == ask) for each in wanted]


def block(wish: Wish, source: str, *, refresh: bool = False) -> Block:
    """One source that may be asked now; with `refresh` also for a fresh copy."""
    here = catalog_rows.held_here(), read_machine()
    return _block(wish, source, *here, ask=True, refresh=refresh)


def _block(
    wish: Wish,
    source: str,
    held: Held,
    machine: Machine,
    *,
    ask: bool,
    refresh: bool = False,
) -> Block:
    answer = _answer(wish, source, refresh=refresh, wait=ask)
    rows = catalog_rows.rows_of(answer, held, machine)
    shown = [row for row in rows if _is_wanted(row, wish.words)]
    return Block(
        source=source,
        answer=answer,
        rows=shown,
        left_out=len(rows) - len(shown),
        note=catalog.note_of(source),
        is_due=answer.kept.is_due and not ask,
    )


def _is_wanted(row: Row, words: Words) -> bool:
    """What nobody can judge neither fits nor is too big."""
    if words.fits is not None:
        known = row.fit is not None and row.fit.verdict != "unknown"
        if not known or row.fit is None or row.fit.loads != words.fits:
            return False
    return words.accepts(row.item)


def _answer(wish: Wish, source: str, *, refresh: bool, wait: bool) -> Answer:
    if not wish.is_search:
        return catalog.trending(
            source, wish.limit, newest=wish.newest, refresh=refresh, wait=wait
        )
    return catalog.search(
        source,
        wish.words.text,
        limit=wish.limit,
        cursor=wish.cursor,
        author=wish.words.author,
        refresh=refresh,
        wait=wait,
    )
