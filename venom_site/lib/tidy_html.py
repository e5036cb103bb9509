"""Strangers' HTML made small: known tags only, balanced, of bounded depth, no images.

The first half of `safe_html`. It is cosmetic and linear in the length: what makes the
result safe is nh3, which reads it afterwards. Parsers of whole documents are no use
before that, since a few kilobytes of crossed tags make a tree of millions of nodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape
from urllib.parse import urljoin, urlsplit

from django.utils.translation import gettext as _

DEEPEST = 40  # open tags; what lies deeper keeps its text
LONGEST_URL = 2000
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
VOID = frozenset({"br", "hr"})
LISTS = frozenset({"ul", "ol", "dl"})
ROWS = frozenset({"thead", "tbody", "tfoot", "tr"})
CELLS = frozenset({"th", "td"})
BLOCKS = (
    frozenset({"p", "div", "blockquote", "pre", "details", "summary", "table", "li"})
    | frozenset({"dt", "dd", "caption", "hr", *HEADINGS})
    | LISTS
    | ROWS
    | CELLS
)
INLINE = frozenset({"a", "b", "strong", "i", "em", "u", "s", "del", "ins", "br"}) | {
    *("sub", "sup", "small", "mark", "q", "cite", "abbr"),
    *("code", "kbd", "samp", "var"),
}
TAGS = BLOCKS | INLINE
# A tag that begins ends an open one of these, unless it meets one of those on its way.
ENDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "li": (frozenset({"li"}), LISTS),
    **dict.fromkeys(("dt", "dd"), (frozenset({"dt", "dd"}), LISTS)),
    "tr": (frozenset({"tr", "caption"}), frozenset({"table"})),
    **dict.fromkeys(CELLS, (CELLS, frozenset({"tr", "table"}))),
    **dict.fromkeys(
        ("thead", "tbody", "tfoot"), (ROWS | {"caption"}, frozenset({"table"}))
    ),
    "a": (frozenset({"a"}), frozenset()),
    **dict.fromkeys(HEADINGS, (frozenset(HEADINGS), frozenset())),
}
PARENTS = {**dict.fromkeys(ROWS | {"caption"}, "table"), **dict.fromkeys(CELLS, "tr")}
SILENT = frozenset({"script", "style", "title", "textarea", "template"}) | {
    *("iframe", "svg", "math", "noscript", "select"),
}

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)([^<>]{0,4000})>")
_ATTRIBUTE = re.compile(
    r"""\b(href|src|alt|colspan|rowspan|start)\s*=\s*("[^"]*"|'[^']*'|[^\s"'<>]+)""",
    re.IGNORECASE,
)
_SPAN = re.compile(r"\d{1,3}\Z")

Token = tuple[str, str, str]  # "text", "start" or "end"; the text or name; attributes


def tokens(html: str) -> Iterator[Token]:
    """Text and tags in their order; comments and what `SILENT` tags hold are gone.

    Every sign is looked at a bounded number of times: an end that was not found once
    is not searched for again.
    """
    at, missing = 0, set[str]()
    while (begins := html.find("<", at)) >= 0:
        if begins > at:
            yield "text", html[at:begins], ""
        tag = _TAG.match(html, begins)
        if tag is None:
            at = _after_note(html, begins, missing)
            if at == begins + 1:
                yield "text", "&lt;", ""
            continue
        at, name = tag.end(), tag[2].lower()
        if name not in SILENT:
            yield ("end" if tag[1] else "start"), name, tag[3]
        elif not tag[1]:
            at = _find(html, f"</{name}", at, missing)
    yield "text", html[at:], ""


def _after_note(html: str, begins: int, missing: set[str]) -> int:
    """The place behind a comment or declaration; behind the sign where it is none."""
    for opening, end in (("<!--", "-->"), ("<!", ">"), ("<?", ">")):
        if html.startswith(opening, begins):
            found = _find(html, end, begins, missing)
            return min(len(html), found + len(end))
    return begins + 1


def _find(html: str, end: str, at: int, missing: set[str]) -> int:
    """Where `end` stands next, in any case of its letters; else the end of it all."""
    if end in missing:
        return len(html)
    found = re.compile(re.escape(end), re.IGNORECASE).search(html, at)
    if found is None:
        missing.add(end)
        return len(html)
    return found.start()


def attributes(text: str) -> dict[str, str]:
    """The few that we know, unescaped; of several the first."""
    found: dict[str, str] = {}
    for name, value in _ATTRIBUTE.findall(text):
        found.setdefault(name.lower(), unescape(value.strip("\"'")))
    return found


def safe_url(url: str, base_url: str = "") -> str:
    """An absolute http(s) address without a password in it; empty for anything else."""
    if not url.strip():
        return ""
    try:
        whole = urljoin(base_url, url.strip())
        parts = urlsplit(whole)
        is_fine = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and "@" not in parts.netloc
            and len(whole) <= LONGEST_URL
        )
    except ValueError:
        return ""
    return whole if is_fine and whole.isprintable() and " " not in whole else ""


class Tidy:
    """Writes the tokens down again as a balanced tree; `text` is the result."""

    def __init__(self, *, base_url: str, deeper: int) -> None:
        self._base_url = base_url
        self._deeper = deeper
        self._out: list[str] = []
        self._open: list[str] = []
        self._link_at = 0  # where the open link stands in `_out`
        self._link_says = False

    def read(self, html: str) -> str:
        for kind, what, rest in tokens(html):
            if kind == "text":
                self._say(what)
            elif kind == "end":
                self._end(self._named(what))
            elif what == "img":
                self._image(attributes(rest))
            elif what in TAGS:
                self._start(self._named(what), attributes(rest))
        self._end_all()
        return "".join(self._out)

    def _named(self, name: str) -> str:
        """Headings move down, so that the outline of our page stays whole."""
        if name not in HEADINGS:
            return name
        return f"h{min(6, int(name[1]) + self._deeper)}"

    def _say(self, text: str) -> None:
        self._out.append(text)
        self._link_says = self._link_says or not text.isspace()

    def _start(self, name: str, given: dict[str, str]) -> None:
        if name in BLOCKS and "p" in self._open:
            self._end("p")
        if ends := ENDS.get(name):
            self._end_one(*ends)
        if name in VOID:
            self._out.append(f"<{name}>")
        elif name == "a":
            self._start_link(given.get("href", ""))
        elif len(self._open) < DEEPEST and PARENTS.get(name, "") in ("", *self._open):
            self._open.append(name)
            self._out.append(_opening(name, given))

    def _start_link(self, url: str) -> None:
        href = safe_url(url, self._base_url)
        if href and len(self._open) < DEEPEST:
            self._open.append("a")
            self._link_at, self._link_says = len(self._out), False
            self._out.append(f'<a href="{escape(href)}">')

    def _image(self, given: dict[str, str]) -> None:
        """No page loads from a foreign host: its words, leading to the picture."""
        url = safe_url(given.get("src", ""), self._base_url)
        file_name = urlsplit(url).path.rsplit("/", 1)[-1][:80]
        words = given.get("alt", "").strip() or file_name or _("picture")
        if url and "a" not in self._open:
            self._start_link(url)
            self._say(escape(words))
            self._end("a")
        else:
            self._say(escape(words))

    def _end_one(self, names: frozenset[str], unless: frozenset[str]) -> None:
        for name in reversed(self._open):
            if name in unless:
                return
            if name in names:
                self._end(name)
                return

    def _end(self, name: str) -> None:
        if name not in self._open:
            return
        while (last := self._open.pop()) != name:
            self._close(last)
        self._close(last)

    def _end_all(self) -> None:
        while self._open:
            self._close(self._open.pop())

    def _close(self, name: str) -> None:
        if name == "a" and not self._link_says:  # nobody could read or press it
            self._out[self._link_at] = ""
        else:
            self._out.append(f"</{name}></div>" if name == "table" else f"</{name}>")


def _opening(name: str, given: dict[str, str]) -> str:
    if name == "table":  # it scrolls in a frame of its own, the page never sideways
        label = escape(_("Table"))
        frame = f'<div class="scroll" role="group" tabindex="0" aria-label="{label}">'
        return f"{frame}<table>"
    wanted = {"ol": ("start",), "td": ("colspan", "rowspan")}
    known = wanted.get("td" if name == "th" else name, ())
    spans = [
        f' {key}="{given[key]}"' for key in known if _SPAN.match(given.get(key, ""))
    ]
    return f"<{name}{''.join(spans)}>"
