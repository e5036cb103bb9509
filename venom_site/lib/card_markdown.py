"""Markdown of strangers to HTML, within limits of time and size; not safe by itself.

Used by `safe_html.card_html` alone. Markdown can be written so that a line costs
seconds or one address is repeated a million times: every rule of the parser passes a
check of the clock, and what links take is counted before anything is written.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

SECONDS_AT_MOST = 2.0
MOST_LINK_CHARACTERS = 500_000
LONGEST_FRONT_MATTER = 100_000


class TooCostly(Exception):
    """This text takes longer to read than it may."""


def rendered(markdown: str) -> str:
    """HTML, with whatever HTML the text holds; raises `TooCostly`."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    _watch(parser, time.monotonic() + SECONDS_AT_MOST)
    found = parser.parse(without_front_matter(markdown))
    if _link_characters(found) > MOST_LINK_CHARACTERS:
        raise TooCostly
    return str(parser.renderer.render(found, parser.options, {}))


def without_front_matter(markdown: str) -> str:
    """The text behind the YAML that begins a card: `---`, its lines, `---`."""
    text = markdown.lstrip("\ufeff").replace("\r\n", "\n")
    if not text.startswith("---\n"):
        return text
    end = text.find("\n---", 3, LONGEST_FRONT_MATTER)
    line_end = text.find("\n", end + 4)
    if end < 0 or text[end + 4 : line_end if line_end >= 0 else None].strip(" -"):
        return text
    return text[line_end:] if line_end >= 0 else ""


def _watch(parser: MarkdownIt, ends: float) -> None:
    """Rules that never match; the parser asks them at every line and every sign."""

    def check() -> None:
        if time.monotonic() > ends:
            raise TooCostly

    def of_block(state: StateBlock, start: int, end: int, is_silent: bool) -> bool:
        check()
        return False

    def of_inline(state: StateInline, is_silent: bool) -> bool:
        check()
        return False

    inside = ["paragraph", "reference", "blockquote", "list", "table"]
    parser.block.ruler.before("table", "clock", of_block, {"alt": inside})
    parser.inline.ruler.before("text", "clock", of_inline)
    parser.inline.ruler2.before("balance_pairs", "clock", lambda _state: check())


def _link_characters(tokens: Iterable[Token]) -> int:
    return sum(
        sum(len(str(value)) for value in token.attrs.values())
        + _link_characters(token.children or ())
        for token in tokens
    )
