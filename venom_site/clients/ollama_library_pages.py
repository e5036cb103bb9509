"""What the pages of ollama.com say, read into types.

Used by `ollama_library.py`, which asks. The site has no API; its pages have been
redesigned more than once (attributes `x-test-*` were there until July 2026), so what is
read is what survives: where a link leads, what stands beside a label, the colour of a
badge. A page in which nothing is found where something must be is `PageChanged`, never
an empty list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

from venom_site.clients import ollama_library_words as words
from venom_site.clients.ollama_library_html import Node, TooMuch, read_tree
from venom_site.lib.errors import WireError

LONGEST_DESCRIPTION = 1000
LONGEST_README = 200_000
MOST_BADGES = 40
FEW = 3  # cards that may all be empty before the page counts as changed
_README = frozenset({"readme", "display", "editor", "editorContainer"})
_WHOLE = frozenset({"", "html", "body", "main", "section"})  # more than a row


class PageChanged(WireError):
    """The site answers with a page that nobody here can read any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A model as lists and its own page show it; None where nothing is said.

    `name` is `qwen3`, or `user/name` of the community. `sizes` are as written (`4b`).
    """

    name: str
    description: str = ""
    capabilities: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    pulls: int | None = None
    tag_count: int | None = None
    updated_at: datetime | None = None
    has_cloud: bool = False

    @property
    def is_cloud_only(self) -> bool:
        return self.has_cloud and not self.sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPage:
    """A page of a list; `next_page` is None on the last one."""

    cards: tuple[Card, ...]
    next_page: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPage:
    """The page of one model; `readme` is Markdown of strangers."""

    card: Card
    readme: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRow:
    """A tag as the page lists it: `digest` has twelve digits, `size_bytes` is rounded
    by the site to two digits or so."""

    tag: str
    digest: str = ""
    size_bytes: int | None = None
    context_length: int | None = None
    inputs: tuple[str, ...] = ()


def read_cards(html: str, *, query: str = "", page: int = 1) -> CardPage:
    """The models of a list. Without any, only a search with words may have ended well:
    it then says so, or shows its form and leads to no model."""
    if page > 1 and not html.strip():
        return CardPage(cards=())
    tree = _tree(html)
    cards = {card.name: card for card in _cards(tree)}
    if not cards and not (query and _is_without_hits(tree)):
        raise PageChanged("The page lists no model.", permanent=True)
    if len(cards) >= FEW and not any(c.description or c.pulls for c in cards.values()):
        raise PageChanged("The page tells nothing of its models.", permanent=True)
    return CardPage(cards=tuple(cards.values()), next_page=_next_page(tree, page))


def read_model(html: str, name: str) -> ModelPage:
    """The page of this model, readme included."""
    tree = _tree(html)
    if not _leads_to(tree, name):
        raise PageChanged(f"The page is not that of {name}.", permanent=True)
    summary = tree.with_id("summary-content")
    metas = (n for n in tree.nodes() if n.tag == "meta")
    meta = next((n.get("content") for n in metas if n.get("name") == "description"), "")
    description = summary.text if summary and summary.text else meta
    return ModelPage(card=_card(name, description, tree), readme=_readme(tree))


def read_tags(html: str, name: str) -> tuple[TagRow, ...]:
    """The tags of this model in the order of the page, each once."""
    tree = _tree(html)
    rows = {tag: _tag_row(tag, nodes) for tag, nodes in _rows(tree, name).items()}
    if not rows:
        raise PageChanged(f"The page lists no tag of {name}.", permanent=True)
    if len(rows) >= FEW and not any(r.digest or r.size_bytes for r in rows.values()):
        raise PageChanged(f"The page says no size of {name}.", permanent=True)
    return tuple(rows.values())


def _tree(html: str) -> Node:
    try:
        return read_tree(html)
    except TooMuch as error:
        raise PageChanged(str(error), permanent=True) from None


def _cards(tree: Node) -> Iterator[Card]:
    for item in _items(tree):
        links = [node.get("href") for node in item.nodes() if node.tag == "a"]
        names = [name for link in links if (name := words.name_in(link)) is not None]
        if not names:
            continue
        if not names[0]:
            raise PageChanged("The page lists a model without a name.", permanent=True)
        yield _card(names[0], _first_paragraph(item), item)


def _items(tree: Node) -> Iterator[Node]:
    """The `li` around each heading, outermost first and never one inside another."""
    seen: set[int] = set()
    for node in tree.nodes():
        if node.tag != "h2":
            continue
        above = [part for part in node.ancestors() if part.tag == "li"]
        if above and not any(id(part) in seen for part in above):
            seen.add(id(above[0]))
            yield above[0]


def _first_paragraph(item: Node) -> str:
    for node in item.nodes():
        if node.tag == "p":
            pieces = node.pieces()
            return "" if words.stats_in(pieces) else " ".join(pieces)
    return ""


def _card(name: str, description: str, part: Node) -> Card:
    sizes, capabilities, has_cloud = _badges(part)
    # Only short texts are labels and figures; a description is not read for them.
    stats = words.stats_in([p for p in part.pieces(without=_README) if len(p) < 40])
    marked = {
        mark: node.text
        for node in part.nodes(without=_README)
        for mark in ("x-test-pull-count", "x-test-tag-count")
        if mark in node.attributes and node.is_leaf
    }
    dates = (words.moment_in(n.get("title")) for n in part.nodes(without=_README))
    pulls = stats.get("pulls", marked.get("x-test-pull-count", ""))
    tags = stats.get("tags", marked.get("x-test-tag-count", ""))
    return Card(
        name=name,
        description=" ".join(description.split())[:LONGEST_DESCRIPTION],
        capabilities=capabilities,
        sizes=sizes,
        pulls=words.count_in(pulls),
        tag_count=words.count_in(tags),
        updated_at=next(filter(None, dates), None),
        has_cloud=has_cloud,
    )


def _badges(part: Node) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """Sizes, capabilities, and whether it runs in the vendor's cloud."""
    found: dict[str, list[str]] = {"size": [], "capability": [], "cloud": []}
    for node in part.nodes(without=_README):
        if node.tag != "span" or not node.is_leaf:
            continue
        kind, text = words.badge_kind(node), node.text.lower()
        if kind and 0 < len(text) <= 30 and text not in found[kind][:MOST_BADGES]:
            found[kind].append(text)
    sizes, capabilities = found["size"], found["capability"]
    return (
        tuple(sizes[:MOST_BADGES]),
        tuple(capabilities[:MOST_BADGES]),
        bool(found["cloud"]),
    )


def _is_without_hits(tree: Node) -> bool:
    """«No models» as the site writes it, or a search form and no way to any model."""
    if any(words.NO_HITS.fullmatch(piece) for piece in tree.pieces()):
        return True
    nodes = list(tree.nodes())
    if any(words.name_in(node.get("href")) for node in nodes if node.tag == "a"):
        return False
    return any(node.tag == "input" and node.get("name") == "q" for node in nodes)


def _next_page(tree: Node, page: int) -> int | None:
    """The number in the sentinel that loads the next page when it is scrolled to."""
    for node in tree.nodes():
        numbers = parse_qs(_query_of(node.get("hx-get"))).get("page", [])
        for number in numbers:
            if re.fullmatch(r"\d{1,6}", number) and int(number) > page:
                return int(number)
    return None


def _query_of(link: str) -> str:
    """The query of a link; empty for what is none."""
    try:
        return urlsplit(link).query
    except ValueError:
        return ""


def _leads_to(tree: Node, name: str) -> bool:
    """Whether the page links to this model's tags, or is named after it."""
    own = words.path_of(name).lower()
    for node in tree.nodes():
        if "x-test-model-name" in node.attributes:
            return True
        link = node.get("href").lower()
        if node.tag == "a" and (link == f"{own}/tags" or link.startswith(f"{own}:")):
            return True
        if node.tag == "link" and node.get("rel") == "canonical" and link.endswith(own):
            return True
    return False


def _readme(tree: Node) -> str:
    """The Markdown that its owner edits in a hidden field; else the text shown."""
    editor = tree.with_id("editor")
    if editor is not None and editor.raw_text.strip():
        return editor.raw_text.strip()[:LONGEST_README]
    shown = tree.with_id("display") or tree.with_id("readme")
    return words.plain_markdown(shown)[:LONGEST_README] if shown else ""


def _rows(tree: Node, name: str) -> dict[str, list[Node]]:
    """Each tag and the parts of the page that speak of it and of no other.

    A part is the highest element around a link to the tag that holds no link to
    another one: whatever a row is made of, wide and narrow screens both.
    """
    own = words.path_of(name).lower() + ":"
    links: list[tuple[str, Node]] = []
    inside: dict[int, set[str]] = {}
    for node in tree.nodes():
        link = node.get("href").partition("?")[0].partition("#")[0]
        tag = link[len(own) :]
        if node.tag == "a" and link.lower().startswith(own) and words.is_part(tag):
            links.append((tag, node))
            for above in node.ancestors():
                inside.setdefault(id(above), set()).add(tag)
    rows: dict[str, dict[int, Node]] = {}
    for tag, link_node in links:
        row = link_node
        for above in link_node.ancestors():
            if above.tag in _WHOLE or len(inside[id(above)]) > 1:
                break
            row = above
        rows.setdefault(tag, {})[id(row)] = row
    return {tag: list(nodes.values()) for tag, nodes in rows.items()}


def _tag_row(tag: str, nodes: list[Node]) -> TagRow:
    told = words.row_facts([piece for node in nodes for piece in node.pieces()])
    return TagRow(
        tag=tag,
        digest=told.digest,
        size_bytes=told.size_bytes,
        context_length=told.context_length,
        inputs=told.inputs,
    )
