"""A page of HTML as a tree: the standard library's parser, and limits for strangers.

Used by `ollama_library_pages.py`. Bears missing, crossed and surplus end tags as a
browser would, as far as the site's own pages need it (their tag rows close a `span`
twice). Nothing here recurses; scripts, styles and drawings leave no text behind.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from html.parser import HTMLParser

MOST_NODES = 100_000  # the page of all official models has about 15 000
MOST_DEEP = 200  # its deepest node lies 20 below the top
LONGEST_SECONDS = 3.0
CHUNK = 1 << 15
LONGEST_REST = 1 << 19


def words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


VOID = words_of("area base br col embed hr img input link meta param source track wbr")
SILENT = words_of("script style svg template noscript iframe object")
# An end tag of another kind does not reach beyond these.
BLOCKS = words_of(
    "html head body header nav main section article aside footer div form table tbody "
    "thead tr td th ul ol li dl dd dt p pre blockquote figure h1 h2 h3 h4 h5 h6"
)


class TooMuch(ValueError):
    """More than any honest page: too many nodes, too deep, or too slow to read."""


class Node:
    """An element. `children` are elements and texts in the order of the page."""

    __slots__ = ("attributes", "children", "parent", "tag")

    def __init__(
        self, tag: str, attributes: dict[str, str], parent: Node | None
    ) -> None:
        self.tag = tag
        self.attributes = attributes
        self.parent = parent
        self.children: list[Node | str] = []

    def get(self, attribute: str) -> str:
        """Empty where it has none, or one without a value."""
        return self.attributes.get(attribute, "")

    @property
    def is_leaf(self) -> bool:
        return all(isinstance(child, str) for child in self.children)

    def ancestors(self) -> Iterator[Node]:
        """What it lies in, from the inside out."""
        above = self.parent
        while above is not None:
            yield above
            above = above.parent

    def walk(self, *, without: frozenset[str] = frozenset()) -> Iterator[Node | str]:
        """Everything below in the order of the page, but no part with such an id."""
        waiting: list[Node | str] = list(reversed(self.children))
        while waiting:
            thing = waiting.pop()
            if isinstance(thing, Node):
                if without and thing.get("id") in without:
                    continue
                waiting.extend(reversed(thing.children))
            yield thing

    def nodes(self, *, without: frozenset[str] = frozenset()) -> Iterator[Node]:
        return (n for n in self.walk(without=without) if isinstance(n, Node))

    def with_id(self, wanted: str) -> Node | None:
        return next((node for node in self.nodes() if node.get("id") == wanted), None)

    def pieces(self, *, without: frozenset[str] = frozenset()) -> list[str]:
        """Its texts with single spaces, empty ones left out."""
        texts = (t for t in self.walk(without=without) if isinstance(t, str))
        return [folded for text in texts if (folded := " ".join(text.split()))]

    @property
    def text(self) -> str:
        return " ".join(self.pieces())

    @property
    def raw_text(self) -> str:
        return "".join(thing for thing in self.walk() if isinstance(thing, str))


def read_tree(html: str) -> Node:
    """The page as a tree under a root without a name; raises `TooMuch`.

    html.parser looks at an unfinished end again and again, so a long one is refused,
    and at the end of the page dropped: its `close` would take minutes over 32 kB of it.
    """
    reader = _Reader(time.monotonic() + LONGEST_SECONDS)
    for start in range(0, len(html), CHUNK):
        reader.feed(html[start : start + CHUNK])
        if len(reader.rawdata) > LONGEST_REST:
            raise TooMuch("The page has an endless tag or comment.")
    return reader.finished()


class _Reader(HTMLParser):
    def __init__(self, ends: float) -> None:
        super().__init__(convert_charrefs=True)
        self._root = Node("", {}, None)
        self._open = [self._root]
        self._texts: list[str] = []  # since the last tag
        self._count = 0
        self._silent: list[str] = []
        self._ends = ends

    def finished(self) -> Node:
        self._flush()
        return self._root

    def _flush(self) -> None:
        if time.monotonic() > self._ends:
            raise TooMuch("The page takes too long to read.")
        if self._texts:
            self._open[-1].children.append("".join(self._texts))
            self._texts.clear()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._flush()
        if self._silent or tag in SILENT:
            if tag in SILENT:
                self._silent.append(tag)
            return
        self._close_implied(tag)
        self._count += 1
        if self._count > MOST_NODES or len(self._open) > MOST_DEEP:
            raise TooMuch("The page has more in it than a page of the library has.")
        parent = self._open[-1]
        node = Node(tag, {name: value or "" for name, value in attrs}, parent)
        parent.children.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_endtag(self, tag: str) -> None:
        self._flush()
        if self._silent:
            if tag in self._silent:
                del self._silent[self._silent.index(tag) :]
            return
        for place in range(len(self._open) - 1, 0, -1):
            found = self._open[place].tag
            if found == tag:
                del self._open[place:]
                return
            if tag not in BLOCKS and found in BLOCKS:
                return

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._texts.append(data)

    def _close_implied(self, tag: str) -> None:
        """A new `li` ends the one before it, and every block ends a paragraph."""
        if tag not in BLOCKS:
            return
        for place in range(len(self._open) - 1, 0, -1):
            found = self._open[place].tag
            if found == "p" or (found == tag == "li"):
                del self._open[place:]
                return
            if found in BLOCKS and not (tag == "li" and found not in {"ul", "ol"}):
                return
